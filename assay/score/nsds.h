// NSDS: numerical vulnerability (kurtosis) and structural expressiveness (spectra) of five modules of a layer - up, gate, down, and the
// QK and OV circuits of the heads -, each put on a common scale over the layers and joined (methods.md 3.9). Torch-free.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "assay/score/score_run.h"

namespace assay {

// Raw values of one layer: up, gate, down, OV, QK, first NV of each and then SE.
inline constexpr size_t kNsdsModules = 5;
// What is kept of a layer: those, and OV and QK at the published head size in the same order (NV, NV, SE, SE).
inline constexpr size_t kNsdsNumbers = 2 * kNsdsModules + 4;

// (a - median) / (MAD + 1e-12), then the logistic function; per value.
std::vector<double> robust_sigmoid(std::span<const double> values);
// 1 - exp(mean log(1 - s + 1e-12)): does not grow with the number of scores. 0 for none.
double soft_or(std::span<const double> scores);
// The layers' scores from their raw values; a module whose values are all exactly 0 is left out.
std::vector<double> join_nsds(std::span<const std::vector<double>> layers);

// As meant: the row norm for down, the model's own head size.
std::unique_ptr<Score> nsds_score();
// As published: head size d_model / heads; down left out, since the program stops there unless two ranks happen to be equal.
std::unique_ptr<Score> nsds_faithful_score();

}  // namespace assay
