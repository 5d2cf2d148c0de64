#include "assay/score/token_sample.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace assay {
namespace {

// Probabilities proportional to `share`, capped at 1, that sum to `count` <= share.size(). Shares are positive.
std::vector<double> probabilities(std::span<const double> share, size_t count) {
  std::vector<double> p(share.size());
  std::vector<bool> certain(share.size());
  for (;;) {
    double rest = 0;
    auto left = static_cast<double>(count);
    for (size_t t = 0; t < share.size(); ++t) certain[t] ? left -= 1 : rest += share[t];
    bool capped = false;
    for (size_t t = 0; t < share.size(); ++t) {
      p[t] = certain[t] ? 1 : left * share[t] / rest;
      if (p[t] >= 1 && !certain[t]) certain[t] = capped = true;
    }
    if (!capped) return p;
  }
}

}  // namespace

TokenSample sample_tokens(std::span<const double> importance, size_t count, CounterRandom& random) {
  const size_t tokens = importance.size();
  TokenSample sample;
  if (count >= tokens) {
    sample.positions.resize(tokens);
    std::iota(sample.positions.begin(), sample.positions.end(), int64_t{0});
    sample.weights.assign(tokens, 1.0);
    return sample;
  }
  const double total = std::accumulate(importance.begin(), importance.end(), 0.0);
  const bool even = !std::isfinite(total) || total <= 0;
  std::vector<double> share(tokens);
  for (size_t t = 0; t < tokens; ++t)
    share[t] = even ? 1.0 : kEvenShare / static_cast<double>(tokens) + (1 - kEvenShare) * importance[t] / total;
  const std::vector<double> p = probabilities(share, count);
  // One draw per unit of summed probability; the last is taken at the end if rounding lost it.
  double next = random.next_uniform(), sum = 0;
  for (size_t t = 0; t < tokens && sample.positions.size() < count; ++t) {
    sum += p[t];
    if (sum <= next && tokens - t > count - sample.positions.size()) continue;
    sample.positions.push_back(static_cast<int64_t>(t));
    sample.weights.push_back(1 / p[t]);
    next += 1;
  }
  return sample;
}

}  // namespace assay
