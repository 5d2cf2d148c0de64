// Metadata values of an untrusted GGUF header, read one after the other under a memory limit. Internal to file/.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "assay/base/checked.h"
#include "assay/base/result.h"
#include "assay/file/metadata.h"
#include "assay/file/sequential_reader.h"

namespace assay {

class GgufValueReader {
 public:
  GgufValueReader(SequentialReader& in, uint64_t source_bytes) : in_(in), source_bytes_(source_bytes) {}

  Result<MetaType> read_type(const char* field);
  Result<MetaValue> read(MetaType type);
  // Counts bytes about to be held in memory; kUnsupported when they are out of proportion to the file.
  Status charge(CheckedSize bytes, const char* field);

 private:
  template <class File, class Wide>
  Result<MetaValue> read_scalar(MetaType type) {
    ASSAY_ASSIGN(const File value, in_.number<File>("value"));
    return MetaValue{type, static_cast<Wide>(value)};
  }
  template <class File, class Wide>
  Status read_elements(uint64_t count, std::vector<Wide>& out);
  Status read_strings(uint64_t count, StringList& out);
  Result<MetaValue> read_array();
  tl::unexpected<Error> broken_at(uint64_t at, std::string_view field, std::string found, std::string needed,
                                  std::string cause = {}) const {
    return in_.broken(ErrorCode::kBadInput, at, field, std::move(found), std::move(needed), std::move(cause));
  }

  SequentialReader& in_;
  uint64_t source_bytes_;
  CheckedSize held_ = 0;  // bytes of metadata in memory so far
};

}  // namespace assay
