#include "assay/probe/quantile_sketch.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "assay/base/random.h"
#include "assay/base/sum.h"

namespace assay {

double RankedValues::at_rank(uint64_t rank) const {
  if (rank == 0) return static_cast<double>(smallest_);
  if (rank + 1 >= count()) return static_cast<double>(largest_);
  const auto found = std::upper_bound(ends_.begin(), ends_.end(), rank);
  return static_cast<double>(values_[static_cast<size_t>(found - ends_.begin())]);
}

double RankedValues::quantile(double f) const {
  if (count() == 0) return 0;
  const double at = std::clamp(f, 0.0, 1.0) * static_cast<double>(count() - 1);
  const auto low = static_cast<uint64_t>(at);
  const double part = at - static_cast<double>(low);
  return (1 - part) * at_rank(low) + part * at_rank(std::min(low + 1, count() - 1));
}

double RankedValues::tail_mean(double alpha) const {
  const uint64_t n = count();
  if (n == 0) return 0;
  const auto k = std::clamp<uint64_t>(static_cast<uint64_t>(std::ceil(alpha * static_cast<double>(n))), 1, n);
  // The largest value fills the first place whether or not the sketch still holds it.
  CompensatedSum sum;
  sum.add(static_cast<double>(largest_));
  uint64_t rank = n - 1;  // ranks below this one are still to be added
  for (size_t i = values_.size(); i-- > 0 && rank > n - k;) {
    const uint64_t begin = std::max(i == 0 ? 0 : ends_[i - 1], n - k);
    if (begin >= rank) continue;
    sum.add(static_cast<double>(values_[i]) * static_cast<double>(rank - begin));
    rank = begin;
  }
  return sum.value() / static_cast<double>(k);
}

void QuantileSketch::add(float value) {
  smallest_ = count_ == 0 ? value : std::min(smallest_, value);
  largest_ = count_ == 0 ? value : std::max(largest_, value);
  ++count_;
  if (!exact()) return put(0, value);
  exact_.push_back(value);
  if (exact_.size() > options_.exact_limit) leave_exact();
}

void QuantileSketch::merge(const QuantileSketch& other) {
  if (other.count_ == 0) return;
  smallest_ = count_ == 0 ? other.smallest_ : std::min(smallest_, other.smallest_);
  largest_ = count_ == 0 ? other.largest_ : std::max(largest_, other.largest_);
  count_ += other.count_;
  rank_error_ += other.rank_error_;
  if (exact() && other.exact() && exact_.size() + other.exact_.size() <= options_.exact_limit) {
    exact_.insert(exact_.end(), other.exact_.begin(), other.exact_.end());
    return;
  }
  if (exact()) leave_exact();
  for (const float value : other.exact_) put(0, value);
  for (size_t level = 0; level < other.levels_.size(); ++level)
    for (const float value : other.levels_[level].values) put(level, value);
}

size_t QuantileSketch::values_held() const {
  size_t held = exact_.size();
  for (const Level& level : levels_) held += level.values.size();
  return held;
}

RankedValues QuantileSketch::ranked() const {
  std::vector<std::pair<float, uint64_t>> weighted;
  weighted.reserve(values_held());
  for (const float value : exact_) weighted.emplace_back(value, 1);
  for (size_t level = 0; level < levels_.size(); ++level)
    for (const float value : levels_[level].values) weighted.emplace_back(value, uint64_t{1} << level);
  std::sort(weighted.begin(), weighted.end());
  RankedValues ranked;
  ranked.smallest_ = smallest_;
  ranked.largest_ = largest_;
  uint64_t end = 0;
  for (const auto& [value, weight] : weighted) {
    ranked.values_.push_back(value);
    ranked.ends_.push_back(end += weight);
  }
  return ranked;
}

void QuantileSketch::leave_exact() {
  levels_.resize(1);
  std::vector<float> values = std::exchange(exact_, {});
  for (const float value : values) put(0, value);
}

void QuantileSketch::put(size_t level, float value) {
  if (level >= levels_.size()) levels_.resize(level + 1);
  levels_[level].values.push_back(value);
  if (levels_[level].values.size() >= options_.width) compact(level);
}

void QuantileSketch::compact(size_t level) {
  std::vector<float> values = std::exchange(levels_[level].values, {});
  std::sort(values.begin(), values.end());
  const uint64_t compaction = levels_[level].compactions++;
  const bool odd = compaction % 2 == 1 ? !levels_[level].odd : (CounterRandom(options_.seed, level, compaction).next_u32() & 1) != 0;
  levels_[level].odd = odd;
  rank_error_ += uint64_t{1} << level;
  for (size_t i = odd ? 1 : 0; i < values.size(); i += 2) put(level + 1, values[i]);
}

}  // namespace assay
