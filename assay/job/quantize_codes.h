// `assay quantize --codes`: a file whose codes are chosen under second moments. Torch-free header.
#pragma once

#include <map>
#include <string>

#include "assay/base/progress.h"
#include "assay/base/result.h"
#include "assay/codes/codes.h"
#include "assay/job/settings.h"
#include "assay/plan/quantize_job.h"

namespace assay {

struct QuantizeCodesOptions {
  std::string model;
  std::string output;
  QuantizeOptions file;   // types and metadata; its imatrix is used where there are no second moments
  std::string moments;    // file of `imatrix --full`; empty: computed from `calibration`
  TextInput calibration;  // path empty: none
  Codes codes = Codes::kBest;
};

struct QuantizeCodesResult {
  QuantizeReport report;
  std::map<std::string, CodesReport> codes;  // by tensor; those not in it have nearest codes
  UnitCounts units;
};

Result<QuantizeCodesResult> quantize_codes(const QuantizeCodesOptions& options, const RunSettings& settings, Progress& progress);

}  // namespace assay
