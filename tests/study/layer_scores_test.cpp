#include "assay/study/layer_scores.h"

#include <gtest/gtest.h>

#include <cmath>

namespace assay {
namespace {

SampledEffect effect(int layer, uint64_t number, double value, bool counts = true) { return {layer, "t", number, value, counts}; }

TEST(LayerScores, MeansAndErrorsByHand) {
  const std::vector<SampledEffect> effects = {effect(0, 0, 1), effect(0, 1, 3), effect(0, 2, 100, false), effect(2, 0, 5)};
  const auto scores = layer_scores(effects, 3);
  EXPECT_DOUBLE_EQ(scores[0].value, 2);
  EXPECT_DOUBLE_EQ(scores[0].standard_error, 1);  // sd sqrt(2), over sqrt(2)
  EXPECT_EQ(scores[0].samples, 2u);
  EXPECT_EQ(scores[1].samples, 0u);
  EXPECT_DOUBLE_EQ(scores[2].value, 5);
  EXPECT_DOUBLE_EQ(layer_scores(effects, 3, 1)[0].value, 1);
}

// Scores that are the layers' own numbers agree between halves; noise of one sample does not.
TEST(LayerScores, SplitHalfSeesWhatRepeats) {
  std::vector<SampledEffect> steady;
  for (int layer = 0; layer < 6; ++layer)
    for (uint64_t i = 0; i < 8; ++i) steady.push_back(effect(layer, i, layer));
  EXPECT_DOUBLE_EQ(split_half(steady, 6)->rho, 1);
  std::vector<SampledEffect> turned = steady;
  for (SampledEffect& one : turned)
    if (one.number % 2 == 1) one.effect = -one.effect;
  EXPECT_DOUBLE_EQ(split_half(turned, 6)->rho, -1);
}

TEST(LayerScores, RankIntervalsHoldTheRankAndWidenWithNoise) {
  std::vector<SampledEffect> effects;
  for (int layer = 0; layer < 4; ++layer)
    for (uint64_t i = 0; i < 50; ++i) effects.push_back(effect(layer, i, layer == 3 ? 10 : layer + (i % 2 == 0 ? 2.0 : -2.0)));
  const auto intervals = rank_intervals(effects, 4, 0, 200, 1);
  EXPECT_EQ(intervals[3].low, 1);
  EXPECT_EQ(intervals[3].high, 1);
  for (const RankInterval& one : intervals) EXPECT_LE(one.low, one.high);
  const auto few = rank_intervals(effects, 4, 4, 200, 1);
  EXPECT_GE(few[1].high - few[1].low, intervals[1].high - intervals[1].low);
  EXPECT_EQ(rank_intervals(effects, 4, 0, 200, 1)[1].low, intervals[1].low);  // seeded
}

// The published rho of 0.233 over 24 layers cannot be told from 0: sqrt((1 + 0.233^2 / 2) / 21) = 0.2211.
TEST(LayerScores, CorrelationIntervalByHand) {
  std::vector<double> a, b;
  for (int i = 0; i < 24; ++i) {
    a.push_back(i);
    b.push_back(i % 2 == 0 ? i : 23 - i);
  }
  const auto found = rank_correlation(a, b);
  ASSERT_TRUE(found && found->interval);
  const double error = std::sqrt((1 + found->rho * found->rho / 2) / 21);
  EXPECT_NEAR(found->interval->first, std::tanh(std::atanh(found->rho) - 1.96 * error), 1e-12);
  EXPECT_FALSE(found->apart_from_zero());
  EXPECT_TRUE(rank_correlation(a, a)->apart_from_zero());
  EXPECT_FALSE(rank_correlation(std::vector<double>{1, 2, 3}, std::vector<double>{1, 2, 3})->interval);
  EXPECT_FALSE(rank_correlation(std::vector<double>{1, 1}, std::vector<double>{1, 2}));
}

TEST(LayerScores, RankedIsLargestFirstAndStable) { EXPECT_EQ(ranked(std::vector<double>{2, 5, 2, 9}), (std::vector<int>{3, 1, 0, 2})); }

}  // namespace
}  // namespace assay
