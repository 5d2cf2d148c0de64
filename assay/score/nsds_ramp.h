// The NSDS variant of RAMP, per tensor (methods.md 3.10): unbiased kurtosis of a sample, sum of the top singular values times the effective
// rank (the official score divides by it), all tensors on one scale, joined as probabilities. Torch-free.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "assay/score/score_run.h"

namespace assay {

// (x - median) / (1.4826 MAD), or by the standard deviation where the MAD is 0, then the logistic function; 0.5 where that is 0 too.
std::vector<double> mad_sigmoid(std::span<const double> values);

// As meant: values as they decode, matrices as they are shaped.
std::unique_ptr<Score> nsds_ramp_score();
// As published on float files: spectra of square matrices only, since the program flattens the others. (What it makes of quantized files -
// wrong bytes of the blocks - is not repeated.)
std::unique_ptr<Score> nsds_ramp_faithful_score();
// Its later pipeline: times role multipliers, then min-max. (Its factors for recurrent layers have nothing to act on: no such architecture
// is supported.)
std::unique_ptr<Score> nsds_ramp_enhanced_score();

}  // namespace assay
