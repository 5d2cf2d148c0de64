// Which tokens of a window enter the per-type products: drawn in proportion to how much of the damage they are expected to carry, each
// with the weight that keeps sums over tokens unbiased (Horvitz-Thompson). Torch-free. Non-goals: what is summed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "assay/base/random.h"

namespace assay {

struct TokenSample {
  std::vector<int64_t> positions;  // rising, distinct
  std::vector<double> weights;     // 1 / probability of being drawn, >= 1
};

// Draws exactly min(count, tokens) positions, one systematic draw along the window: position t with probability proportional to
// kEvenShare of an even draw and the rest by importance[t] >= 0, capped at 1. All zero or not finite: an even draw.
inline constexpr double kEvenShare = 0.25;
TokenSample sample_tokens(std::span<const double> importance, size_t count, CounterRandom& random);

}  // namespace assay
