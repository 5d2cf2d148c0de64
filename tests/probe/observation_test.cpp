#include "assay/probe/observation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "assay/base/random.h"
#include "assay/probe/statistics.h"

namespace assay {
namespace {

std::vector<float> random_row(size_t n, uint64_t stream, double scale) {
  CounterRandom random(21, stream);
  std::vector<float> row(n);
  for (float& v : row) v = static_cast<float>(scale * random.next_normal());
  return row;
}

PositionObservation observe(const std::vector<float>& base, const std::vector<float>& variant, int32_t label) {
  RowBase row;
  std::vector<float> p(base.size());
  prepare_base(base, row, p.data());
  return compare(row, base.data(), p.data(), variant.data(), base.size(), label);
}

long double exact_kl(const std::vector<float>& a, const std::vector<float>& b) {
  const auto lse = [](const std::vector<float>& z) {
    long double top = *std::max_element(z.begin(), z.end()), sum = 0;
    for (const float v : z) sum += std::exp(static_cast<long double>(v) - top);
    return top + std::log(sum);
  };
  const long double la = lse(a), lb = lse(b);
  long double kl = 0;
  for (size_t i = 0; i < a.size(); ++i) kl += std::exp(a[i] - la) * ((a[i] - la) - (b[i] - lb));
  return kl;
}

// Two outcomes: KL((1/2, 1/2) || (1/4, 3/4)) = 1/2 ln 2 + 1/2 ln(2/3).
TEST(HeadKernels, TwoClassAnswerByHand) {
  const auto seen = observe({0, 0}, {0, std::log(3.0f)}, 1);
  EXPECT_NEAR(seen.kl, 0.5 * std::log(2.0) + 0.5 * std::log(2.0 / 3), 1e-6);
  EXPECT_NEAR(seen.nll_base, std::log(2.0), 1e-6);
  EXPECT_NEAR(seen.nll, std::log(4.0 / 3), 1e-6);
  EXPECT_NEAR(seen.nll_difference, seen.nll - seen.nll_base, 1e-6);
  EXPECT_NEAR(seen.margin, std::log(3.0), 1e-6);
  EXPECT_TRUE(seen.flip);  // the base's tie goes to index 0
}

TEST(HeadKernels, IdenticalRowsGiveExactlyZero) {
  for (const size_t n : {3u, 16u, 257u, 8192u}) {
    const auto row = random_row(n, n, 4);
    const auto seen = observe(row, row, 1);
    EXPECT_EQ(seen.kl, 0.0);
    EXPECT_EQ(seen.nll_difference, 0.0);
    EXPECT_FALSE(seen.flip);
  }
}

// From changes of 1e-5 (true KL near 1e-11) to large ones: within 0.1 % of the long double value, never negative.
TEST(HeadKernels, KlIsAccurateFromTinyToLargeChanges) {
  for (const double change : {1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 5.0}) {
    const auto base = random_row(4001, 1, 3);
    auto variant = base;
    const auto noise = random_row(4001, 2, change);
    for (size_t i = 0; i < base.size(); ++i) variant[i] += noise[i];
    const auto seen = observe(base, variant, 17);
    const auto exact = static_cast<double>(exact_kl(base, variant));
    EXPECT_GE(seen.kl, 0.0);
    EXPECT_NEAR(seen.kl, exact, 1e-3 * exact + 1e-13) << change;
  }
}

TEST(HeadKernels, NonFiniteLogitsAreSeen) {
  auto row = random_row(100, 3, 1);
  auto broken = row;
  broken[57] = std::nanf("");
  EXPECT_FALSE(observe(row, broken, 0).finite);
  EXPECT_TRUE(observe(row, row, 0).finite);
  broken[57] = INFINITY;
  EXPECT_FALSE(observe(row, broken, 0).finite);
}

TEST(HeadKernels, UniformModelHasPerplexityOfItsVocabulary) {
  const std::vector<float> flat(1000, 0.5f);
  EXPECT_NEAR(std::exp(log_softmax_nll(flat, 3)), 1000.0, 1e-2);
}

std::vector<PositionObservation> positions(std::initializer_list<double> kls) {
  std::vector<PositionObservation> list;
  for (const double kl : kls) {
    PositionObservation p;
    p.kl = kl;
    p.nll = p.nll_base = 1;
    list.push_back(p);
  }
  return list;
}

TEST(Observation, MergeEqualsSerialAndDilutionMovesOnlyTheMean) {
  Observation serial, first, second;
  serial.add(0, positions({1, 2, 3}));
  serial.add(1, positions({5}));
  first.add(0, positions({1, 2, 3}));
  second.add(1, positions({5}));
  first.merge(second);
  EXPECT_EQ(first.mean_kl(), serial.mean_kl());
  EXPECT_EQ(serial.mean_kl(), 11.0 / 4);
  EXPECT_EQ(first.windows().size(), 2u);
  // One large error among many small ones: the tail sees it whole, the mean hardly.
  Observation diluted;
  for (int i = 0; i < 19; ++i) diluted.add(0, positions({0.01}));
  diluted.add(0, positions({10}));
  EXPECT_NEAR(diluted.positions().kl.ranked().tail_mean(), 10, 1e-6);
  EXPECT_LT(diluted.mean_kl(), 0.6);
}

WindowSums window(uint32_t document, uint64_t count, double kl) {
  WindowSums sums;
  sums.document = document;
  sums.count = count;
  sums.kl = kl * static_cast<double>(count);
  return sums;
}

const WindowStatistic kMeanKl = [](const WindowSums& s) { return s.kl / static_cast<double>(s.count); };

TEST(Bootstrap, CoversTheMeanAndIsReproducible) {
  std::vector<WindowSums> windows;
  CounterRandom random(1, 1);
  for (uint32_t d = 0; d < 40; ++d) windows.push_back(window(d, 100, 1 + 0.1 * random.next_normal()));
  const Interval a = bootstrap(windows, kMeanKl), b = bootstrap(windows, kMeanKl);
  EXPECT_EQ(a.low, b.low);
  EXPECT_LT(a.low, a.value);
  EXPECT_GT(a.high, a.value);
  EXPECT_NEAR(a.high - a.low, 2 * 1.96 * 0.1 / std::sqrt(40.0), 0.02);
}

TEST(Bootstrap, ClustersWidenTheInterval) {
  std::vector<WindowSums> clustered, free;
  CounterRandom random(2, 1);
  for (uint32_t d = 0; d < 10; ++d) {
    const double level = random.next_normal();
    for (uint32_t w = 0; w < 10; ++w) {
      clustered.push_back(window(d, 100, level));
      free.push_back(window(10 * d + w, 100, level));
    }
  }
  const Interval wide = bootstrap(clustered, kMeanKl), narrow = bootstrap(free, kMeanKl);
  EXPECT_GT(wide.high - wide.low, 2 * (narrow.high - narrow.low));
}

TEST(Bootstrap, SeveralVariantsAreResampledTogether) {
  std::vector<WindowSums> a, b, c;
  CounterRandom random(4, 1);
  for (uint32_t d = 0; d < 20; ++d) {
    const double level = random.next_normal(), other = random.next_normal();
    a.push_back(window(d, 10, level));
    b.push_back(window(d, 10, other));
    c.push_back(window(d, 10, level + other));
  }
  const std::span<const WindowSums> all[] = {a, b, c};
  const Interval zero = bootstrap_joint(all, [](std::span<const WindowSums> sums) { return sums[2].kl - sums[0].kl - sums[1].kl; });
  EXPECT_NEAR(zero.low, 0, 1e-9);
  EXPECT_NEAR(zero.high, 0, 1e-9);
}

TEST(Observation, SegmentsAddUpToTheWindow) {
  std::vector<PositionObservation> positions(10);
  for (size_t i = 0; i < positions.size(); ++i) positions[i].kl = static_cast<double>(i);
  const auto segments = sum_segments(3, positions, 4);
  ASSERT_EQ(segments.size(), 3u);
  EXPECT_EQ(segments[2].count, 2u);
  EXPECT_EQ(segments[1].document, 3u);
  EXPECT_DOUBLE_EQ(segments[0].kl, 6);
  EXPECT_DOUBLE_EQ(segments[1].kl, 22);
  EXPECT_DOUBLE_EQ(segments[2].kl, 17);
  ASSERT_EQ(sum_segments(3, positions, 0).size(), 1u);
  EXPECT_DOUBLE_EQ(sum_segments(3, positions, 0)[0].kl, 45);
}

TEST(Bootstrap, PairsByWindowAndSaysItsUnit) {
  std::vector<WindowSums> a, b;
  CounterRandom random(3, 1);
  for (uint32_t d = 0; d < 20; ++d) {
    const double level = 1 + random.next_uniform();
    a.push_back(window(d, 10, 0.5 * level));
    b.push_back(window(d, 10, level));
  }
  const Interval ratio = bootstrap_pair(a, b, [](const WindowSums& x, const WindowSums& y) { return x.kl / y.kl - 1; });
  EXPECT_NEAR(ratio.low, -0.5, 1e-12);
  EXPECT_NEAR(ratio.high, -0.5, 1e-12);
  EXPECT_EQ(bootstrap_unit(a), "documents");
  EXPECT_EQ(bootstrap_unit(std::span(a).first(5)), "blocks of windows (fewer than 8 documents)");
}

TEST(Observation, BeyondTheLimitASketchTakesOver) {
  Observation exact, sketched(true, {100, 16, 1});
  CounterRandom random(4, 1);
  for (int w = 0; w < 40; ++w) {
    const auto list = positions({random.next_uniform(), random.next_uniform(), random.next_uniform(), random.next_uniform()});
    exact.add(0, list);
    sketched.add(0, list);
  }
  EXPECT_TRUE(exact.positions().kl.exact());
  EXPECT_FALSE(sketched.positions().kl.exact());
  EXPECT_EQ(exact.mean_kl(), sketched.mean_kl());
  const double places = static_cast<double>(sketched.positions().kl.rank_error()) / 160;
  const RankedValues all = exact.positions().kl.ranked(), some = sketched.positions().kl.ranked();
  for (const double f : {0.1, 0.5, 0.9}) {
    EXPECT_GE(some.quantile(f), all.quantile(f - places - 0.01));
    EXPECT_LE(some.quantile(f), all.quantile(f + places + 0.01));
  }
}

// 1e17 + 1 - 1e17 in a plain double sum is 0.
TEST(WindowTotals, KeepTheirDigits) {
  WindowTotals serial, first, second;
  for (const double kl : {1e17, 1.0, -1e17}) serial.add(window(0, 1, kl));
  first.add(window(0, 1, 1e17));
  second.add(window(0, 1, 1.0));
  second.add(window(0, 1, -1e17));
  first.merge(second);
  EXPECT_EQ(serial.value().kl, 1.0);
  EXPECT_EQ(first.value().kl, 1.0);
  EXPECT_EQ(first.value().count, 3u);
}

TEST(BlockBootstrap, BlocksAreTheCubeRootLong) {
  EXPECT_EQ(block_length(0), 1u);
  EXPECT_EQ(block_length(1), 1u);
  EXPECT_EQ(block_length(3), 1u);
  EXPECT_EQ(block_length(4), 2u);
  EXPECT_EQ(block_length(64), 4u);
  EXPECT_EQ(block_length(1000), 10u);
}

// Eight windows +1 -1 +1 -1 ...: every circular block of two sums to 0, so every resample does.
TEST(BlockBootstrap, KeepsNeighboursTogetherAndWraps) {
  std::vector<WindowSums> windows;
  for (int w = 0; w < 8; ++w) windows.push_back(window(0, 10, w % 2 == 0 ? 1 : -1));
  const Interval interval = bootstrap(windows, kMeanKl);
  EXPECT_EQ(interval.low, 0.0);
  EXPECT_EQ(interval.high, 0.0);
  EXPECT_NEAR(bootstrap(windows, [](const WindowSums& s) { return static_cast<double>(s.count); }).low, 80, 1e-12);
}

// Nine windows and blocks of two: four blocks and one single window, so that no resample has more windows than the sample.
TEST(BlockBootstrap, EveryResampleHasAsManyWindows) {
  std::vector<WindowSums> windows;
  for (int w = 0; w < 9; ++w) windows.push_back(window(0, 10, w));
  const Interval counts = bootstrap(windows, [](const WindowSums& s) { return static_cast<double>(s.count); });
  EXPECT_EQ(counts.low, 90.0);
  EXPECT_EQ(counts.high, 90.0);
}

// Windows of one text are correlated (AR(1), 0.6). The 95 % interval of blocks covers the true mean clearly more often than that of
// single windows, which is what more than 8 documents of one window each give.
TEST(BlockBootstrap, CoversACorrelatedSeriesBetterThanSingleWindows) {
  constexpr int kSeries = 300, kWindows = 125;
  int covered_blocks = 0, covered_single = 0;
  for (int s = 0; s < kSeries; ++s) {
    CounterRandom random(11, static_cast<uint64_t>(s));
    double level = random.next_normal() / 0.8;  // stationary: variance 1 / (1 - 0.36)
    std::vector<WindowSums> blocks, single;
    for (uint32_t w = 0; w < kWindows; ++w) {
      blocks.push_back(window(0, 1, level));
      single.push_back(window(w, 1, level));
      level = 0.6 * level + random.next_normal();
    }
    const Interval by_block = bootstrap(blocks, kMeanKl, {400, static_cast<uint64_t>(s)});
    const Interval by_window = bootstrap(single, kMeanKl, {400, static_cast<uint64_t>(s)});
    covered_blocks += by_block.low <= 0 && 0 <= by_block.high;
    covered_single += by_window.low <= 0 && 0 <= by_window.high;
  }
  RecordProperty("covered_blocks", covered_blocks);
  RecordProperty("covered_single", covered_single);
  EXPECT_GT(covered_blocks, 0.80 * kSeries);
  EXPECT_LT(covered_single, 0.75 * kSeries);
}

}  // namespace
}  // namespace assay
