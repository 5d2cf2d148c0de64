#include "assay/plan/vertex_bundle.h"

#include <algorithm>
#include <cmath>

namespace assay {
namespace {

constexpr int kExchanges = 2'000;
constexpr double kClose = 1e-12;  // of the value: slopes that differ by less are equal

double product(const std::vector<double>& a, const std::vector<double>& b) {
  double sums[8] = {};
  size_t t = 0;
  for (; t + 8 <= a.size(); t += 8)
    for (size_t k = 0; k < 8; ++k) sums[k] += a[t + k] * b[t + k];
  for (; t < a.size(); ++t) sums[0] += a[t] * b[t];
  return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

}  // namespace

void VertexBundle::add(double own, std::vector<double> sum) {
  own_.push_back(own);
  sums_.push_back(std::move(sum));
  weights_.push_back(weights_.empty() ? 1 : 0);
  products_.emplace_back();
  for (size_t v = 0; v < sums_.size(); ++v) products_.back().push_back(product(sums_[v], sums_.back()));
  for (size_t v = 0; v + 1 < sums_.size(); ++v) products_[v].push_back(products_.back()[v]);
}

double VertexBundle::slope(size_t vertex) const {
  double slope = own_[vertex];
  for (size_t v = 0; v < weights_.size(); ++v) slope += weights_[v] * products_[vertex][v];
  return slope;
}

double VertexBundle::value() const {
  double value = 0;
  for (size_t v = 0; v < weights_.size(); ++v) value += weights_[v] * (own_[v] + slope(v)) / 2;
  return value;
}

void VertexBundle::mix() {
  std::vector<double> slopes;
  for (size_t v = 0; v < weights_.size(); ++v) slopes.push_back(slope(v));
  const double close = kClose * std::fabs(value());
  for (int n = 0; n < kExchanges; ++n) {
    size_t best = 0, worst = slopes.size();
    for (size_t v = 0; v < slopes.size(); ++v) {
      if (slopes[v] < slopes[best]) best = v;
      if (weights_[v] > 0 && (worst == slopes.size() || slopes[v] > slopes[worst])) worst = v;
    }
    const double difference = slopes[worst] - slopes[best];
    if (!(difference > close)) return;
    const double curvature = products_[best][best] + products_[worst][worst] - 2 * products_[best][worst];
    const double step = curvature > 0 ? std::min(weights_[worst], difference / curvature) : weights_[worst];
    weights_[best] += step;
    weights_[worst] -= step;
    for (size_t v = 0; v < slopes.size(); ++v) slopes[v] += step * (products_[v][best] - products_[v][worst]);
  }
}

std::vector<double> VertexBundle::sum() const {
  std::vector<double> sum(sums_[0].size());
  for (size_t v = 0; v < weights_.size(); ++v)
    for (size_t t = 0; weights_[v] > 0 && t < sum.size(); ++t) sum[t] += weights_[v] * sums_[v][t];
  return sum;
}

}  // namespace assay
