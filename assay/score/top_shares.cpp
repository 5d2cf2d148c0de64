#include "assay/score/top_shares.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "assay/base/sum.h"

namespace assay {
namespace {

// The upper bits of a float without its sign order magnitudes: 8 of exponent, 10 of fraction.
constexpr int kDroppedBits = 13;
constexpr size_t kBins = size_t{1} << (31 - kDroppedBits);

}  // namespace

TopShares::TopShares() : counts_(kBins), sums_(kBins) {}

void TopShares::add(std::span<const float> values) {
  for (const float value : values) {
    const float size = std::fabs(value);
    const size_t bin = std::bit_cast<uint32_t>(size) >> kDroppedBits;
    ++counts_[bin];
    sums_[bin] += static_cast<double>(size);
  }
  count_ += values.size();
}

void TopShares::merge(const TopShares& other) {
  for (size_t i = 0; i < kBins; ++i) {
    counts_[i] += other.counts_[i];
    sums_[i] += other.sums_[i];
  }
  count_ += other.count_;
}

double TopShares::total() const {
  CompensatedSum sum;
  for (const double one : sums_) sum.add(one);
  return sum.value();
}

double TopShares::share(double part) const {
  const double all = total();
  if (!(all > 0)) return 0;
  double left = part * static_cast<double>(count_);
  CompensatedSum held;
  for (size_t i = kBins; i-- > 0 && left > 0;) {
    const auto here = static_cast<double>(counts_[i]);
    if (here == 0) continue;
    held.add(sums_[i] * std::min(1.0, left / here));
    left -= here;
  }
  return held.value() / all;
}

}  // namespace assay
