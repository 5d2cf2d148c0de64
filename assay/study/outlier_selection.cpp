#include "assay/study/outlier_selection.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "assay/base/random.h"

namespace assay {
namespace {

constexpr double kEpsilon = 1e-8;  // the source's

// Orders as the floats do.
uint32_t order_key(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}
float from_order_key(uint32_t key) { return std::bit_cast<float>((key & 0x80000000u) != 0 ? key & 0x7fffffffu : ~key); }

// The value of rank (n - 1) / 2: the upper halves of the keys are counted, then the lower ones of the half that holds the rank.
template <class ValueOf>
float select_lower_median(size_t n, const ValueOf& value_of) {
  constexpr size_t kHalf = 65'536;
  std::vector<uint64_t> counts(kHalf);
  for (size_t i = 0; i < n; ++i) ++counts[order_key(value_of(i)) >> 16];
  uint64_t rank = (n - 1) / 2;
  uint32_t upper = 0;
  for (; rank >= counts[upper]; ++upper) rank -= counts[upper];
  std::fill(counts.begin(), counts.end(), 0);
  for (size_t i = 0; i < n; ++i)
    if (const uint32_t key = order_key(value_of(i)); key >> 16 == upper) ++counts[key & 0xffffu];
  uint32_t lower = 0;
  for (; rank >= counts[lower]; ++lower) rank -= counts[lower];
  return from_order_key(upper << 16 | lower);
}

// The unbiased standard deviation, and 1e-8.
template <class ValueOf>
double unit_of(size_t n, const ValueOf& value_of) {
  double mean = 0, squares = 0;
  for (size_t i = 0; i < n; ++i) mean += value_of(i);
  mean /= static_cast<double>(n);
  for (size_t i = 0; i < n; ++i) squares += (value_of(i) - mean) * (value_of(i) - mean);
  return (n > 1 ? std::sqrt(squares / static_cast<double>(n - 1)) : 0) + kEpsilon;
}

}  // namespace

float lower_median(std::span<const float> values) {
  return select_lower_median(values.size(), [&](size_t i) { return values[i]; });
}

float lower_median_distance(std::span<const float> values, float centre) {
  return select_lower_median(values.size(), [&](size_t i) { return std::fabs(values[i] - centre); });
}

double RobustScale::score(float weight) const {
  return std::fabs(static_cast<double>(weight) - static_cast<double>(median)) / (static_cast<double>(mad) + kEpsilon);
}

RobustScale robust_scale(std::span<const float> values) {
  RobustScale scale;
  scale.median = lower_median(values);
  scale.mad = lower_median_distance(values, scale.median);
  return scale;
}

void add_robust(uint32_t matrix, std::span<const float> values, TopWeights& top) {
  const RobustScale scale = robust_scale(values);
  for (size_t i = 0; i < values.size(); ++i) top.add(matrix, i, scale.score(values[i]));
}

MatrixFacts::MatrixFacts(std::span<const float> values, uint64_t rows, uint64_t columns, std::span<const float> activations)
    : values_(values), row_norms_(rows), column_norms_(columns) {
  for (uint64_t r = 0; r < rows; ++r)
    for (uint64_t c = 0; c < columns; ++c) {
      const double w = values[r * columns + c];
      row_norms_[r] += w * w;
      column_norms_[c] += w * w;
    }
  for (double& norm : row_norms_) norm = std::sqrt(norm);
  for (double& norm : column_norms_) norm = std::sqrt(norm);
  for (const float square : activations) activations_.push_back(std::sqrt(std::max(0.0, static_cast<double>(square))));
  row_unit_ = unit_of(rows, [&](size_t i) { return row_norms_[i]; });
  column_unit_ = unit_of(columns, [&](size_t i) { return column_norms_[i]; });
  weight_unit_ = unit_of(values.size(), [&](size_t i) { return std::fabs(static_cast<double>(values[i])); });
  if (!activations_.empty()) activation_unit_ = unit_of(columns, [&](size_t i) { return activations_[i]; });
}

double MatrixFacts::distance(uint64_t target, uint64_t other, bool magnitude) const {
  const uint64_t columns = column_norms_.size();
  const uint64_t row = target / columns, column = target % columns, r = other / columns, c = other % columns;
  double distance =
      std::fabs(row_norms_[r] - row_norms_[row]) / row_unit_ + std::fabs(column_norms_[c] - column_norms_[column]) / column_unit_;
  if (magnitude)
    distance += std::fabs(std::fabs(static_cast<double>(values_[other])) - std::fabs(static_cast<double>(values_[target]))) / weight_unit_;
  if (!activations_.empty()) distance += std::fabs(activations_[c] - activations_[column]) / activation_unit_;
  return distance;
}

std::vector<Control> MatrixFacts::controls(uint64_t target, size_t count, const std::set<uint64_t>& used,
                                           const MatchOptions& options) const {
  TopWeights nearest(count);
  const auto consider = [&](uint64_t index) {
    if (index != target && !used.contains(index)) nearest.add(0, index, -distance(target, index, options.magnitude));
  };
  const uint64_t all = values_.size();
  if (options.pool == 0 || options.pool >= all) {
    for (uint64_t index = 0; index < all; ++index) consider(index);
  } else {
    CounterRandom random(options.seed, 0x636f6e74726f6c, target);
    std::vector<uint64_t> drawn(options.pool);
    for (uint64_t& index : drawn) index = random.next_below(all);
    std::sort(drawn.begin(), drawn.end());
    drawn.erase(std::unique(drawn.begin(), drawn.end()), drawn.end());
    for (const uint64_t index : drawn) consider(index);
  }
  std::vector<Control> controls;
  for (const RankedWeight& one : nearest.ranked()) controls.push_back({one.index, -one.score});
  return controls;
}

}  // namespace assay
