// How far scores of layers from sampled effects (score/sampled_effects.h) can be trusted: split-half reliability, rank intervals,
// intervals of rank correlations. Torch-free, seeded. Non-goals: making the samples (job/study_qpsa.h).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "assay/base/result.h"
#include "assay/score/sampled_effects.h"

namespace assay {

// Mean of each layer over the first `per_tensor` samples of each tensor (0: all), pooled over tensors; samples that do not count are left
// out.
std::vector<LayerScore> layer_scores(std::span<const SampledEffect> effects, int layers, uint64_t per_tensor = 0);
std::vector<double> values_of(std::span<const LayerScore> scores);

struct RankInterval {
  double low = 0, high = 0;  // 2.5 % and 97.5 % of the layer's rank (1: largest) under resampled samples
};
std::vector<RankInterval> rank_intervals(std::span<const SampledEffect> effects, int layers, uint64_t per_tensor, uint32_t resamples,
                                         uint64_t seed);

// 95 % interval of a rank correlation over n pairs: Fisher's z with the variance of Bonett and Wright (2000), (1 + rho^2 / 2) / (n - 3).
// Without an interval for n < 4.
struct Correlation {
  double rho = 0;
  std::optional<std::pair<double, double>> interval;
  bool apart_from_zero() const { return interval && (interval->first > 0 || interval->second < 0); }
};
std::optional<Correlation> rank_correlation(std::span<const double> a, std::span<const double> b);
// Of the scores from even and from odd samples.
std::optional<Correlation> split_half(std::span<const SampledEffect> effects, int layers, uint64_t per_tensor = 0);

// Layers, largest value first; ties go to the earlier layer.
std::vector<int> ranked(std::span<const double> values);

}  // namespace assay
