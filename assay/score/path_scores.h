// Scores that load models on the way to a quantization, or around the weights, and take the loss and its gradient there; each file says
// what its score measures. Non-goals: the path and its points (path_gradients.h, type_step.h).
#pragma once

#include <cstdint>
#include <memory>

#include "assay/score/pass_score.h"

namespace assay {

std::unique_ptr<Score> hessian_step_score();   // hessian_step_torch.cpp
std::unique_ptr<Score> hessian_layer_score();  // hessian_layer_torch.cpp
std::unique_ptr<Score> hawq_score();           // hawq_torch.cpp
std::unique_ptr<Score> delta_loss_score();     // delta_loss_torch.cpp

// Where the absolute value of PQI's element-wise measure stands: nowhere, around the sum over steps and windows, around each step, around
// each window's own at each step.
enum class PqiForm : uint8_t { kSigned, kTotal, kPerStep, kPerSequence };
std::unique_ptr<Score> pqi_score(PqiForm form);  // pqi_scores_torch.cpp

}  // namespace assay
