// `assay quantize --method awq`: scales searched on a calibration text, folded, and the matrices encoded as a GGUF's types - or, where
// the type is F16, BF16 or F32, rounded to a grid of groups and written decoded. Torch-free header.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "assay/awq/awq_options.h"
#include "assay/base/progress.h"
#include "assay/base/result.h"
#include "assay/codes/codes.h"
#include "assay/job/settings.h"
#include "assay/plan/quantize_job.h"
#include "assay/probe/statistics.h"

namespace assay {

struct QuantizeAwqOptions {
  std::string model, output;
  QuantizeOptions file;  // its imatrix: of the model as it is; importance is divided by s^2
  TextInput calibration;
  std::string evaluation;  // text to measure on, cut as the calibration text; empty: that text
  AwqOptions awq;
  bool own_types = true;          // losses are of the file's types; false: of awq.grid
  std::optional<bool> clip;       // unset: where the result is on the grid
  Codes codes = Codes::kNearest;  // of the scaled matrices
};

// One scaled vector.
struct AwqGroupReport {
  int layer = 0;
  std::string place;
  std::vector<std::string> tensors;
  double alpha = 0;
  double loss = 0, plain_loss = 0;  // relative squared error of the outputs at alpha and at 0
};

struct AwqMeasured {
  double ppl = 0;
  Interval kl;
};

struct QuantizeAwqResult {
  QuantizeReport report;
  bool on_grid = false;  // rounded to the grid and decoded
  std::vector<AwqGroupReport> groups;
  double clipped = 0;  // share of rows' groups that were cut
  double base_ppl = 0;
  AwqMeasured plain, awq;  // the same types, or grid, with nearest codes and nothing scaled; the file
  Interval change;         // of mean KL, as a share
  std::string measured_on, interval_unit;
  uint64_t windows = 0, tokens_scored = 0;
  std::map<std::string, CodesReport> codes;
  std::vector<std::string> notes;
  UnitCounts units;
};

// Errors: kUsage (options that do not go together), and those of the search, the writer and the measurement.
Result<QuantizeAwqResult> quantize_awq(const QuantizeAwqOptions& options, const RunSettings& settings, Progress& progress);

// Relative change of mean KL from b to a, paired by window.
Interval kl_change(const Observation& a, const Observation& b, uint64_t seed);

}  // namespace assay
