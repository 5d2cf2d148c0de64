// The JSON header of one safetensors file, parsed and checked. Internal to file/: users call Safetensors (safetensors.h).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/byte_source.h"
#include "assay/file/safetensors.h"

namespace assay {

struct SafetensorsHeader {
  std::vector<SafetensorInfo> tensors;  // in the order of their data
  std::map<std::string, std::string> metadata;
  std::vector<std::string> warnings;
};

Result<SafetensorsHeader> read_safetensors_header(const ByteSource& source);

}  // namespace assay
