#include "assay/probe/observation.h"

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
    sums.non_finite += !p.finite;
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

std::vector<WindowSums> sum_segments(uint32_t document, std::span<const PositionObservation> positions, size_t segment) {
  std::vector<WindowSums> all;
  const size_t length = segment == 0 ? std::max<size_t>(1, positions.size()) : segment;
  for (size_t begin = 0; begin < positions.size(); begin += length)
    all.push_back(sum_window(document, positions.subspan(begin, std::min(length, positions.size() - begin))));
  return all;
}

void WindowTotals::add(const WindowSums& window) {
  count_ += window.count;
  flips_ += window.flips;
  non_finite_ += window.non_finite;
  nll_.add(window.nll);
  nll_base_.add(window.nll_base);
  nll_difference_.add(window.nll_difference);
  kl_.add(window.kl);
  kl_square_.add(window.kl_square);
  margin_change_.add(window.margin_change);
  dp_.add(window.dp);
  dp_square_.add(window.dp_square);
}

void WindowTotals::merge(const WindowTotals& other) {
  count_ += other.count_;
  flips_ += other.flips_;
  non_finite_ += other.non_finite_;
  nll_.merge(other.nll_);
  nll_base_.merge(other.nll_base_);
  nll_difference_.merge(other.nll_difference_);
  kl_.merge(other.kl_);
  kl_square_.merge(other.kl_square_);
  margin_change_.merge(other.margin_change_);
  dp_.merge(other.dp_);
  dp_square_.merge(other.dp_square_);
}

WindowSums WindowTotals::value() const {
  WindowSums sums;
  sums.count = count_;
  sums.flips = flips_;
  sums.non_finite = non_finite_;
  sums.nll = nll_.value();
  sums.nll_base = nll_base_.value();
  sums.nll_difference = nll_difference_.value();
  sums.kl = kl_.value();
  sums.kl_square = kl_square_.value();
  sums.margin_change = margin_change_.value();
  sums.dp = dp_.value();
  sums.dp_square = dp_square_.value();
  return sums;
}

void PositionValues::add(const PositionObservation& position) {
  const double change = static_cast<double>(position.p) - static_cast<double>(position.p_base);
  kl.add(static_cast<float>(position.kl));
  dp.add(static_cast<float>(change));
  kl_moments.add(position.kl);
  dp_moments.add(change);
  dp_square_moments.add(change * change);
  nll_moments.add(position.nll);
  nll_base_moments.add(position.nll_base);
  nll_product.add(position.nll * position.nll_base);
}

void PositionValues::merge(const PositionValues& other) {
  kl.merge(other.kl);
  dp.merge(other.dp);
  kl_moments.merge(other.kl_moments);
  dp_moments.merge(other.dp_moments);
  dp_square_moments.merge(other.dp_square_moments);
  nll_moments.merge(other.nll_moments);
  nll_base_moments.merge(other.nll_base_moments);
  nll_product.merge(other.nll_product);
}

void Observation::add(uint32_t document, std::span<const PositionObservation> positions) {
  windows_.push_back(sum_window(document, positions));
  totals_.add(windows_.back());
  if (!keep_) return;
  for (const PositionObservation& position : positions) positions_.add(position);
}

void Observation::merge(const Observation& other) {
  windows_.insert(windows_.end(), other.windows_.begin(), other.windows_.end());
  totals_.merge(other.totals_);
  positions_.merge(other.positions_);
}

double Observation::ppl() const { return std::exp(mean_nll()); }
double Observation::ppl_base() const { return std::exp(mean_nll_base()); }
double Observation::rms_dp() const { return std::sqrt(mean(total().dp_square)); }

}  // namespace assay
