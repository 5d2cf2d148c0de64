#include "assay/score/sampled_effects.h"

#include <algorithm>
#include <cmath>

#include "assay/base/sum.h"

namespace assay {
namespace {

struct Sums {
  CompensatedSum sum, squares;
  uint64_t count = 0;
  void add(double value) {
    sum.add(value);
    squares.add(value * value);
    ++count;
  }
  LayerScore score() const {
    LayerScore score;
    score.samples = count;
    if (count == 0) return score;
    const auto n = static_cast<double>(count);
    score.value = sum.value() / n;
    const double variance = count > 1 ? std::max(0.0, (squares.value() - n * score.value * score.value) / (n - 1)) : 0;
    score.standard_error = std::sqrt(variance / n);
    return score;
  }
};

}  // namespace

void set_effect(SampledEffect& sample, std::span<const double> changes) {
  double sum = 0;
  for (const double change : changes) sum += std::fabs(change);
  sample.counts = !changes.empty();
  sample.effect = changes.empty() ? 0 : sum / static_cast<double>(changes.size());
}

std::vector<LayerScore> mean_by_layer(std::span<const SampledEffect> effects, int layers,
                                      const std::function<bool(const SampledEffect&)>& wanted) {
  std::vector<Sums> sums(static_cast<size_t>(layers));
  for (const SampledEffect& one : effects)
    if (one.counts && (!wanted || wanted(one))) sums[static_cast<size_t>(one.layer)].add(one.effect);
  std::vector<LayerScore> scores;
  for (const Sums& sum : sums) scores.push_back(sum.score());
  return scores;
}

}  // namespace assay
