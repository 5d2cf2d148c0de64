#include "assay/probe/quantile_sketch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "assay/base/random.h"

namespace assay {
namespace {

constexpr SketchOptions kSmall{64, 32, 7};

QuantileSketch sketch_of(const std::vector<float>& values, const SketchOptions& options = kSmall) {
  QuantileSketch sketch(options);
  for (const float value : values) sketch.add(value);
  return sketch;
}

std::vector<float> counting(size_t n) {
  std::vector<float> values(n);
  std::iota(values.begin(), values.end(), 0.0F);
  return values;
}

double exact_tail(std::vector<float> values, double alpha) {
  std::sort(values.begin(), values.end(), std::greater<>());
  const auto k = static_cast<size_t>(std::ceil(alpha * static_cast<double>(values.size())));
  return std::accumulate(values.begin(), values.begin() + static_cast<ptrdiff_t>(k), 0.0) / static_cast<double>(k);
}

TEST(QuantileSketch, IsExactUpToItsLimit) {
  const QuantileSketch sketch = sketch_of({30, 0, 20, 10});
  EXPECT_TRUE(sketch.exact());
  EXPECT_EQ(sketch.rank_error(), 0u);
  const RankedValues ranked = sketch.ranked();
  EXPECT_EQ(ranked.quantile(0), 0.0);
  EXPECT_EQ(ranked.quantile(0.5), 15.0);
  EXPECT_NEAR(ranked.quantile(0.1), 3.0, 1e-12);
  EXPECT_EQ(ranked.quantile(1), 30.0);
  EXPECT_EQ(ranked.tail_mean(0.5), 25.0);
  EXPECT_EQ(QuantileSketch().ranked().quantile(0.5), 0.0);
  EXPECT_EQ(QuantileSketch().ranked().tail_mean(), 0.0);
}

TEST(QuantileSketch, TailMeanFollowsTheSourceRule) {
  std::vector<float> values = counting(101);
  values.erase(values.begin());  // 1 .. 100
  EXPECT_EQ(sketch_of(values, {}).ranked().tail_mean(0.05), 98.0);
  EXPECT_EQ(sketch_of({3.5F}).ranked().tail_mean(0.05), 3.5);
}

// Width 4, no exact values: 1 2 3 4 compact to {1, 3} or {2, 4} of weight 2, with a rank error of 1.
TEST(QuantileSketch, OneCompactionByHand) {
  const QuantileSketch sketch = sketch_of({4, 2, 3, 1}, {0, 4, 1});
  EXPECT_FALSE(sketch.exact());
  EXPECT_EQ(sketch.values_held(), 2u);
  EXPECT_EQ(sketch.rank_error(), 1u);
  EXPECT_EQ(sketch.count(), 4u);
  const RankedValues ranked = sketch.ranked();
  EXPECT_EQ(ranked.count(), 4u);
  EXPECT_EQ(ranked.quantile(0), 1.0);
  EXPECT_EQ(ranked.quantile(1), 4.0);
  const double second = ranked.quantile(1.0 / 3), third = ranked.quantile(2.0 / 3);
  EXPECT_TRUE((second == 1 && third == 3) || (second == 2 && third == 4)) << second << " " << third;
}

// Orders that hurt naive sampling: sorted both ways, organ pipe, blocks with the extremes first, interleaved, shuffled.
std::vector<std::pair<const char*, std::vector<float>>> hard_orders(size_t n) {
  std::vector<std::pair<const char*, std::vector<float>>> orders;
  const std::vector<float> up = counting(n);
  orders.emplace_back("ascending", up);
  orders.emplace_back("descending", std::vector<float>(up.rbegin(), up.rend()));
  std::vector<float> pipe, inward, strided, shuffled = up;
  for (size_t i = 0; i < n; i += 2) pipe.push_back(up[i]);
  for (size_t i = n - 1; i < n; i -= 2) {
    if (i % 2 == 1) pipe.push_back(up[i]);
    if (i < 2) break;
  }
  for (size_t i = 0; i < n / 2; ++i) inward.insert(inward.end(), {up[i], up[n - 1 - i]});
  for (size_t start = 0; start < 32; ++start)
    for (size_t i = start; i < n; i += 32) strided.push_back(up[i]);
  CounterRandom random(5, 1);
  for (size_t i = n - 1; i > 0; --i) std::swap(shuffled[i], shuffled[random.next_below(i + 1)]);
  orders.emplace_back("organ pipe", pipe);
  orders.emplace_back("inward", inward);
  orders.emplace_back("strided", strided);
  orders.emplace_back("shuffled", shuffled);
  return orders;
}

TEST(QuantileSketch, RankErrorHoldsForEveryOrder) {
  constexpr size_t kCount = 20'000;
  for (const auto& [name, values] : hard_orders(kCount)) {
    const QuantileSketch sketch = sketch_of(values);
    const RankedValues ranked = sketch.ranked();
    ASSERT_EQ(ranked.count(), kCount) << name;
    const double ratio = kCount / 32.0;
    EXPECT_LE(static_cast<double>(sketch.rank_error()), ratio * (1 + std::log2(ratio))) << name;
    const auto bound = static_cast<double>(sketch.rank_error());
    // The value at index i of 0, 1, 2, ... is i itself, so a value's error is its rank's.
    double worst = 0;
    for (int i = 0; i <= 1000; ++i) worst = std::max(worst, std::abs(ranked.quantile(i / 1000.0) - i / 1000.0 * (kCount - 1)));
    EXPECT_LE(worst, bound + 1) << name;
    EXPECT_GT(worst, 0) << name;
    // Errors cancel: far below the worst case.
    EXPECT_LE(worst, 0.25 * bound) << name;
    for (const double alpha : {0.01, 0.05, 0.5}) {
      const double k = std::ceil(alpha * kCount);
      const double allowed = bound / k * (kCount - 1 - ranked.quantile(1 - alpha - bound / kCount));
      EXPECT_NEAR(ranked.tail_mean(alpha), exact_tail(values, alpha), allowed) << name << " " << alpha;
    }
  }
}

TEST(QuantileSketch, MemoryIsBounded) {
  QuantileSketch sketch(kSmall);
  CounterRandom random(9, 1);
  for (size_t n = 1; n <= 200'000; ++n) {
    sketch.add(static_cast<float>(random.next_normal()));
    const double levels = 2 + std::log2(std::max(1.0, static_cast<double>(n) / 32));
    ASSERT_LE(static_cast<double>(sketch.values_held()), std::max(64.0, 32 * levels)) << n;
  }
}

TEST(QuantileSketch, DefaultsStateTheirErrorBeyondAMillion) {
  QuantileSketch sketch;
  for (uint32_t i = 0; i < 3'000'000; ++i) sketch.add(static_cast<float>((uint64_t{i} * 2654435761U) % 3'000'000));
  EXPECT_FALSE(sketch.exact());
  EXPECT_LT(static_cast<double>(sketch.rank_error()), 1e-4 * 3e6);
  EXPECT_NEAR(sketch.ranked().quantile(0.999), 0.999 * 3e6, static_cast<double>(sketch.rank_error()) + 1);
}

TEST(QuantileSketch, MergeEqualsSerialWithinTheBound) {
  const auto values = hard_orders(10'000).back().second;
  const QuantileSketch serial = sketch_of(values);
  QuantileSketch merged(kSmall);
  for (size_t begin = 0; begin < values.size(); begin += 2500)
    merged.merge(sketch_of({values.begin() + static_cast<ptrdiff_t>(begin), values.begin() + static_cast<ptrdiff_t>(begin + 2500)}));
  EXPECT_EQ(merged.count(), serial.count());
  ASSERT_EQ(merged.ranked().count(), merged.count());
  const double ratio = 10'000 / 32.0;
  EXPECT_LE(static_cast<double>(merged.rank_error()), ratio * (1 + std::log2(ratio)));
  const RankedValues a = serial.ranked(), b = merged.ranked();
  const auto allowed = static_cast<double>(serial.rank_error() + merged.rank_error()) + 1;
  for (int i = 0; i <= 100; ++i) EXPECT_NEAR(a.quantile(i / 100.0), b.quantile(i / 100.0), allowed);
  EXPECT_EQ(a.quantile(1), b.quantile(1));
  EXPECT_EQ(a.quantile(0), b.quantile(0));
}

TEST(QuantileSketch, SmallMergesStayExactAndEmptyOnesChangeNothing) {
  QuantileSketch merged = sketch_of({1, 2, 3});
  merged.merge(sketch_of({0, 9}));
  merged.merge(QuantileSketch(kSmall));
  EXPECT_TRUE(merged.exact());
  EXPECT_EQ(merged.ranked().quantile(0.5), 2.0);
  EXPECT_EQ(merged.ranked().quantile(1), 9.0);
}

TEST(QuantileSketch, EqualSeedsGiveEqualResults) {
  const auto values = hard_orders(5'000).back().second;
  const RankedValues a = sketch_of(values).ranked(), b = sketch_of(values).ranked(), c = sketch_of(values, {64, 32, 8}).ranked();
  bool differs = false;
  for (int i = 0; i <= 100; ++i) {
    EXPECT_EQ(a.quantile(i / 100.0), b.quantile(i / 100.0));
    differs |= a.quantile(i / 100.0) != c.quantile(i / 100.0);
  }
  EXPECT_TRUE(differs);
}

}  // namespace
}  // namespace assay
