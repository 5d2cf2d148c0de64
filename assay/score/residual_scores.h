// Scores of what the model does to its residual stream and its projections, each with passes of its own. Non-goals: scores of streams that
// one forward pass feeds together (activation_score.h).
#pragma once

#include <memory>

#include "assay/score/pass_score.h"

namespace assay {

std::unique_ptr<Score> stability_score();            // stability_torch.cpp: centred
std::unique_ptr<Score> stability_uncentred_score();  // the same file
std::unique_ptr<Score> lieq_score();                 // lieq_torch.cpp
std::unique_ptr<Score> super_weight_score();         // super_weight_torch.cpp

}  // namespace assay
