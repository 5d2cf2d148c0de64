// What the Q-PSA study makes of its measurements: pure functions of them. Torch-free. Non-goals: measuring (job/study_qpsa.h).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "assay/study/layer_scores.h"
#include "assay/study/qpsa_config.h"
#include "assay/study/qpsa_result.h"

namespace assay {

// The first `per_tensor` samples of each tensor.
std::vector<SampledEffect> first_samples(std::span<const SampledEffect> effects, uint64_t per_tensor);

struct RegionSample {
  std::string type, region;
  double effect = 0;
  bool counts = true;
  double weights_changed = 0;
};
// By type and region, in the order of their share of the score.
std::vector<QpsaRegion> regions_of(std::span<const RegionSample> samples);

// Fills the comparison of predicted with measured effects; `both_sides`: (up + down) / 2 of the signed changes.
void compare_shortcut(std::span<const SampledEffect> measured, std::span<const SampledEffect> predicted, std::span<const double> both_sides,
                      int layers, QpsaShortcut& shortcut);

// Random draws become one row per k with median and quartiles.
std::vector<QpsaPruning> summarize_pruning(std::span<const QpsaPruning> rows);
// "ppl ratio of NAME over the best baseline at K = k" of every qpsa method, from the rows before they are summarized; the best baseline is
// chosen anew in every resample of the text's segments. Without an interval where a row has fewer than kLeastSegments.
inline constexpr size_t kLeastSegments = 8;
std::vector<Statistic> pruning_statistics(std::span<const QpsaPruning> rows, uint64_t seed);

std::vector<QpsaConvergence> convergence_of(const std::string& name, std::span<const SampledEffect> effects, int layers,
                                            const std::vector<uint64_t>& sizes);

const QpsaMethod* find_method(const QpsaResult& result, std::string_view name);

// Correlations between methods, quadrants, statistics and verdicts.
void conclude(QpsaResult& result, const QpsaConfig& config);

}  // namespace assay
