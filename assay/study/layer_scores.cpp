#include "assay/study/layer_scores.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "assay/base/random.h"
#include "assay/score/agreement.h"

namespace assay {
namespace {

bool within(const SampledEffect& one, uint64_t per_tensor) { return per_tensor == 0 || one.number < per_tensor; }

}  // namespace

std::vector<LayerScore> layer_scores(std::span<const SampledEffect> effects, int layers, uint64_t per_tensor) {
  return mean_by_layer(effects, layers, [&](const SampledEffect& one) { return within(one, per_tensor); });
}

std::vector<double> values_of(std::span<const LayerScore> scores) {
  std::vector<double> values;
  for (const LayerScore& score : scores) values.push_back(score.value);
  return values;
}

std::optional<Correlation> split_half(std::span<const SampledEffect> effects, int layers, uint64_t per_tensor) {
  const auto half = [&](uint64_t parity) {
    return values_of(
        mean_by_layer(effects, layers, [&](const SampledEffect& one) { return within(one, per_tensor) && one.number % 2 == parity; }));
  };
  return rank_correlation(half(0), half(1));
}

std::vector<int> ranked(std::span<const double> values) {
  std::vector<int> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int a, int b) { return values[static_cast<size_t>(a)] > values[static_cast<size_t>(b)]; });
  return order;
}

std::vector<RankInterval> rank_intervals(std::span<const SampledEffect> effects, int layers, uint64_t per_tensor, uint32_t resamples,
                                         uint64_t seed) {
  const auto count = static_cast<size_t>(layers);
  std::vector<std::vector<double>> samples(count), ranks(count);
  for (const SampledEffect& one : effects)
    if (one.counts && within(one, per_tensor)) samples[static_cast<size_t>(one.layer)].push_back(one.effect);
  std::vector<double> means(count);
  for (uint32_t draw = 0; draw < resamples; ++draw) {
    for (size_t layer = 0; layer < count; ++layer) {
      CounterRandom random(seed, draw, layer);
      double sum = 0;
      const std::vector<double>& own = samples[layer];
      for (size_t i = 0; i < own.size(); ++i) sum += own[random.next_below(own.size())];
      means[layer] = own.empty() ? 0 : sum / static_cast<double>(own.size());
    }
    const std::vector<int> order = ranked(means);
    for (size_t place = 0; place < order.size(); ++place)
      ranks[static_cast<size_t>(order[place])].push_back(static_cast<double>(place + 1));
  }
  std::vector<RankInterval> intervals;
  for (std::vector<double>& own : ranks) {
    std::sort(own.begin(), own.end());
    const auto at = [&](double share) { return own[static_cast<size_t>(std::lround(share * static_cast<double>(own.size() - 1)))]; };
    intervals.push_back(own.empty() ? RankInterval{} : RankInterval{at(0.025), at(0.975)});
  }
  return intervals;
}

std::optional<Correlation> rank_correlation(std::span<const double> a, std::span<const double> b) {
  const std::optional<double> rho = spearman(a, b);
  if (!rho) return std::nullopt;
  Correlation result{*rho, {}};
  if (a.size() < 4) return result;
  const double z = std::atanh(std::clamp(*rho, -0.999999, 0.999999));
  const double error = std::sqrt((1 + *rho * *rho / 2) / (static_cast<double>(a.size()) - 3));
  result.interval = {std::tanh(z - 1.96 * error), std::tanh(z + 1.96 * error)};
  return result;
}

}  // namespace assay
