#include "assay/model/attention_rules.h"

#include <algorithm>
#include <numeric>

namespace assay {

float keep_largest(float* weights, int64_t n, int k) {
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), int64_t{0});
  const auto larger = [&](int64_t a, int64_t b) { return weights[a] != weights[b] ? weights[a] > weights[b] : a < b; };
  const int64_t kept = std::min<int64_t>(k, n);
  std::nth_element(order.begin(), order.begin() + kept, order.end(), larger);
  std::for_each(order.begin() + kept, order.end(), [&](int64_t i) { weights[i] = 0; });
  return std::accumulate(weights, weights + n, 0.0f);
}

int64_t index_of_largest(const float* weights, int64_t n) { return std::max_element(weights, weights + n) - weights; }

void replace_context(const HeadRule& rule, const float* top, int64_t head_dim, float* context) {
  const auto d = static_cast<size_t>(head_dim);
  std::vector<float> replaced(top, top + d);
  for (size_t r = 0; r + d <= rule.basis.size(); r += d) {
    const float* direction = rule.basis.data() + r;
    float along = 0;
    for (size_t i = 0; i < d; ++i) along += direction[i] * (context[i] - top[i]);
    for (size_t i = 0; i < d; ++i) replaced[i] += along * direction[i];
  }
  std::copy(replaced.begin(), replaced.end(), context);
}

}  // namespace assay
