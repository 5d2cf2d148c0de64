#include "assay/probe/observation.h"

#include <algorithm>
#include <cmath>

namespace assay {

WindowSums sum_window(uint32_t document, std::span<const PositionObservation> positions) {
  CompensatedSum nll, nll_base, difference, kl, kl_square, margin, dp, dp_square;
  WindowSums sums;
  sums.document = document;
  sums.count = positions.size();
  for (const PositionObservation& p : positions) {
    nll.add(p.nll);
    nll_base.add(p.nll_base);
    difference.add(p.nll_difference);
    kl.add(p.kl);
    kl_square.add(p.kl * p.kl);
    margin.add(static_cast<double>(p.margin) - static_cast<double>(p.margin_base));
    const double change = static_cast<double>(p.p) - static_cast<double>(p.p_base);
    dp.add(change);
    dp_square.add(change * change);
    sums.flips += p.flip;
  }
  sums.nll = nll.value();
  sums.nll_base = nll_base.value();
  sums.nll_difference = difference.value();
  sums.kl = kl.value();
  sums.kl_square = kl_square.value();
  sums.margin_change = margin.value();
  sums.dp = dp.value();
  sums.dp_square = dp_square.value();
  return sums;
}

WindowSums& WindowSums::operator+=(const WindowSums& other) {
  count += other.count;
  nll += other.nll;
  nll_base += other.nll_base;
  nll_difference += other.nll_difference;
  kl += other.kl;
  kl_square += other.kl_square;
  margin_change += other.margin_change;
  dp += other.dp;
  dp_square += other.dp_square;
  flips += other.flips;
  return *this;
}

void Observation::add(uint32_t document, std::span<const PositionObservation> positions) {
  windows_.push_back(sum_window(document, positions));
  total_ += windows_.back();
  if (!keep_) return;
  for (const PositionObservation& p : positions) {
    kl_.push_back(static_cast<float>(p.kl));
    dp_.push_back(p.p - p.p_base);
    nll_.add(p.nll);
    nll_base_.add(p.nll_base);
    nll_product_.add(p.nll * p.nll_base);
  }
}

void Observation::merge(const Observation& other) {
  windows_.insert(windows_.end(), other.windows_.begin(), other.windows_.end());
  total_ += other.total_;
  kl_.insert(kl_.end(), other.kl_.begin(), other.kl_.end());
  dp_.insert(dp_.end(), other.dp_.begin(), other.dp_.end());
  nll_.merge(other.nll_);
  nll_base_.merge(other.nll_base_);
  nll_product_.merge(other.nll_product_);
}

double Observation::ppl() const { return std::exp(mean_nll()); }
double Observation::ppl_base() const { return std::exp(mean_nll_base()); }
double Observation::rms_dp() const { return std::sqrt(mean(total_.dp_square)); }

double tail_mean(std::vector<float> values, double alpha) {
  if (values.empty()) return 0;
  const auto n = values.size();
  const auto k = std::clamp<size_t>(static_cast<size_t>(std::ceil(alpha * static_cast<double>(n))), 1, n);
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(n - k), values.end());
  CompensatedSum sum;
  for (size_t i = n - k; i < n; ++i) sum.add(static_cast<double>(values[i]));
  return sum.value() / static_cast<double>(k);
}

double quantile(std::span<const float> sorted, double f) {
  if (sorted.empty()) return 0;
  const double at = f * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<size_t>(at);
  const size_t high = std::min(low + 1, sorted.size() - 1);
  const double part = at - static_cast<double>(low);
  return (1 - part) * static_cast<double>(sorted[low]) + part * static_cast<double>(sorted[high]);
}

}  // namespace assay
