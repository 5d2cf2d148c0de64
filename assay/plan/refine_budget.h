// How much may be measured: "200" forward-equivalents (one is a run of the whole changed model on the windows measured on; what first
// differs at a later block costs its share), or "10min" (also "30s", "2h") of time, which the job converts once by a timed run.
#pragma once

#include <string_view>

#include "assay/base/result.h"

namespace assay {

struct RefineBudget {
  double forwards = 0;  // forward-equivalents
  double seconds = 0;   // in place of them
  bool any() const { return forwards > 0 || seconds > 0; }
};

// "0": nothing. Errors: kUsage.
Result<RefineBudget> parse_refine_budget(std::string_view text);

}  // namespace assay
