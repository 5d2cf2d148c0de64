// What share of the damage of quantization single weights carry: a quantized model with exactly k weights put back, the k being the robust
// outliers, matched controls, those of the greatest rounding error, of the greatest 1/2 F d^2 (Fisher diagonal of the model's own labels),
// or of the greatest d g at the middle of the step (methods.md 3.4, 3.8). Internal to job/.
#pragma once

#include "assay/job/outlier_runner.h"

namespace assay {

// Fills damages, shares, excesses and the counts of prompts they rest on. `text`: what gradients are taken on; no path: see
// StudyOutliersOptions.
Status measure_shares(OutlierRunner& runner, const TextInput& text, OutlierResult& result);

}  // namespace assay
