// The job behind `assay imatrix`. Torch-free header.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "assay/base/progress.h"
#include "assay/base/result.h"
#include "assay/file/imatrix.h"
#include "assay/job/settings.h"

namespace assay {

struct MakeImatrixOptions {
  std::string model;
  TextInput text;
  std::string output;
  ImatrixFormat format = ImatrixFormat::kGguf;
  std::vector<std::string> in_files;  // merged into the result
  bool process_output = false;
  uint32_t save_frequency = 0;       // also write a copy `output`.at_N every so many (N) windows; 0: none
  std::string full;                  // also second moments, to this file (file/moments.h)
  std::vector<std::string> full_in;  // without a text: merged into `full`
  bool force = false;
};

struct MakeImatrixResult {
  Imatrix imatrix;
  uint64_t windows = 0, tokens = 0;
  std::map<std::string, double> damping;  // of the second moments, by role of the input
  std::vector<std::string> warnings;
  UnitCounts units;
};

Result<MakeImatrixResult> make_imatrix(const MakeImatrixOptions& options, const RunSettings& settings, Progress& progress);

}  // namespace assay
