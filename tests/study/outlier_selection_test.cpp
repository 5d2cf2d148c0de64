#include "assay/study/outlier_selection.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "assay/base/random.h"

namespace assay {
namespace {

std::vector<float> drawn(size_t n, uint64_t seed) {
  CounterRandom random(seed, 0);
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(random.next_normal());
  return values;
}

TEST(OutlierSelection, RobustScoresByHand) {
  // Sorted: -8 -1 0 1 2 3: the lower median is 0; distances 0 1 1 2 3 8: their lower median is 1.
  const std::vector<float> values = {1, -8, 3, 0, 2, -1};
  EXPECT_EQ(lower_median(values), 0);
  EXPECT_EQ(lower_median_distance(values, 0), 1);
  TopWeights top(2);
  add_robust(4, values, top);
  const auto ranked = top.ranked();
  EXPECT_EQ(ranked[0].matrix, 4u);
  EXPECT_EQ(ranked[0].index, 1u);
  EXPECT_NEAR(ranked[0].score, 8 / (1 + 1e-8), 1e-12);
  EXPECT_EQ(ranked[1].index, 2u);
  EXPECT_EQ(lower_median(std::vector<float>{5}), 5);
  EXPECT_EQ(lower_median(std::vector<float>{-0.0f, 0.0f}), 0);
}

TEST(OutlierSelection, MediansEqualThoseOfAFullSort) {
  for (const size_t n : {1, 2, 3, 10, 1001, 4096}) {
    std::vector<float> values = drawn(n, n);
    for (size_t i = 0; i < n; i += 3) values[i] = 0.25f;  // ties
    std::vector<float> sorted = values;
    std::sort(sorted.begin(), sorted.end());
    const float median = sorted[(n - 1) / 2];
    EXPECT_EQ(lower_median(values), median) << n;
    for (float& value : sorted) value = std::fabs(value - median);
    std::sort(sorted.begin(), sorted.end());
    EXPECT_EQ(lower_median_distance(values, median), sorted[(n - 1) / 2]) << n;
  }
}

TEST(OutlierSelection, DistanceByHand) {
  // Row norms 5, 0, 3 (mean 8/3, sd sqrt(19/3)); column norms 3 sqrt 2, 4 (sd of two: |difference| / sqrt 2).
  const std::vector<float> values = {3, 4, 0, 0, 3, 0};
  const MatrixFacts facts(values, 3, 2);
  EXPECT_DOUBLE_EQ(facts.row_norm(0), 5);
  EXPECT_DOUBLE_EQ(facts.column_norm(0), std::sqrt(18.0));
  const double row_unit = std::sqrt(19.0 / 3) + 1e-8, column_unit = (std::sqrt(18.0) - 4) / std::sqrt(2.0) + 1e-8;
  EXPECT_NEAR(facts.distance(0, 5, false), 2 / row_unit + (std::sqrt(18.0) - 4) / column_unit, 1e-12);
  // |w|: 3 4 0 0 3 0, mean 5/3, squares 34 - 6 * 25/9.
  const double weight_unit = std::sqrt((34 - 6 * 25.0 / 9) / 5) + 1e-8;
  EXPECT_NEAR(facts.distance(0, 5, true) - facts.distance(0, 5, false), 3 / weight_unit, 1e-12);
  const std::vector<float> squares = {4, 16};  // roots 2, 4: sd sqrt 2
  const MatrixFacts active(values, 3, 2, squares);
  EXPECT_NEAR(active.distance(0, 5, false) - facts.distance(0, 5, false), 2 / (std::sqrt(2.0) + 1e-8), 1e-12);
}

TEST(OutlierSelection, ControlsAreThoseOfBruteForce) {
  const uint64_t rows = 13, columns = 17;
  const std::vector<float> values = drawn(rows * columns, 3);
  const MatrixFacts facts(values, rows, columns);
  const std::set<uint64_t> used = {5, 6, 7, 100, 200};
  for (const bool magnitude : {true, false}) {
    MatchOptions options;
    options.magnitude = magnitude;
    std::vector<std::pair<double, uint64_t>> all;
    for (uint64_t i = 0; i < values.size(); ++i)
      if (i != 42 && !used.contains(i)) all.emplace_back(facts.distance(42, i, magnitude), i);
    std::sort(all.begin(), all.end());
    const std::vector<Control> controls = facts.controls(42, 4, used, options);
    ASSERT_EQ(controls.size(), 4u);
    for (size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(controls[i].index, all[i].second);
      EXPECT_EQ(controls[i].distance, all[i].first);
    }
  }
  // A pool is seeded, and gives what is in it; one as large as the matrix is the matrix.
  MatchOptions pool;
  pool.pool = 20;
  pool.seed = 1;
  const auto first = facts.controls(42, 2, used, pool), again = facts.controls(42, 2, used, pool);
  ASSERT_EQ(first.size(), 2u);
  EXPECT_EQ(first[0].index, again[0].index);
  EXPECT_GE(first[0].distance, facts.controls(42, 1, used, {})[0].distance);
  pool.pool = values.size();
  EXPECT_EQ(facts.controls(42, 1, used, pool)[0].index, facts.controls(42, 1, used, {})[0].index);
  EXPECT_EQ(facts.controls(42, values.size(), used, {}).size(), values.size() - used.size() - 1);
}

}  // namespace
}  // namespace assay
