// Choices, margins and McNemar's test by hand, against closed forms, and the stated power by simulation.
#include "assay/tasks/task_score.h"

#include <gtest/gtest.h>

#include <cmath>

#include "assay/base/random.h"
#include "assay/tasks/encode_items.h"

namespace assay {
namespace {

TEST(TaskScore, NormalizesByCharactersAndBytes) {
  // Options of 2, 4 and 3 characters; the last of 9 bytes. Raw: -2 is best. Per character: -1, -0.75, -0.8. Per byte: -1, -0.75, -0.2667.
  const TaskItem item{{"context"}, {"ab", "abcd", "\u20ac\u20ac\u20ac"}, 2, 1};
  const double values[] = {-2, -3, -2.4};
  const ItemScore score = score_item(item, values);
  EXPECT_EQ(score.choice[0], 0u);
  EXPECT_EQ(score.choice[1], 1u);
  EXPECT_EQ(score.choice[2], 2u);
  EXPECT_FALSE(score.right[0]);
  EXPECT_FALSE(score.right[1]);
  EXPECT_TRUE(score.right[2]);
  EXPECT_DOUBLE_EQ(score.margin, -2.4 - -2);
  EXPECT_DOUBLE_EQ(score.margin_per_byte, -2.4 / 9 - -0.75);
  EXPECT_EQ(characters_of(item.continuations[2]), 3u);
  // The first of equals, as numpy.argmax.
  const double equal[] = {-3, -2, -2};
  EXPECT_EQ(score_item(item, equal).choice[0], 1u);
}

TEST(TaskScore, MeansAndStandardErrorsByHand) {
  std::vector<ItemScore> scores(4);
  for (const size_t i : {0, 1, 2}) scores[i].right[0] = true;
  scores[3].margin = 4;
  const uint32_t own[] = {0, 1, 2, 3};
  const TaskScore task = summarize(scores, own);
  EXPECT_DOUBLE_EQ(task.accuracy[0].value, 0.75);
  EXPECT_DOUBLE_EQ(task.accuracy[0].standard_error, 0.25);  // sqrt((3/16 + 9/16) / 3 / 4)
  EXPECT_DOUBLE_EQ(task.margin.value, 1);
  EXPECT_LE(task.accuracy[0].interval.low, 0.75);
  EXPECT_GE(task.accuracy[0].interval.high, 0.75);
  // All in one cluster: no interval to draw.
  const uint32_t one[] = {0, 0, 0, 0};
  EXPECT_EQ(summarize(scores, one).accuracy[0].interval.low, 0.75);
  EXPECT_EQ(summarize(scores, one).clusters, 1u);
}

TEST(TaskScore, ClustersWidenIntervals) {
  // 200 pairs whose members are alike: as much is known as of 200 items.
  std::vector<ItemScore> scores(400);
  std::vector<uint32_t> pairs, single;
  for (uint32_t i = 0; i < 400; ++i) {
    scores[i].right[0] = CounterRandom(1, i / 2).next_uniform() < 0.5;
    pairs.push_back(i / 2);
    single.push_back(i);
  }
  const auto width = [&](const std::vector<uint32_t>& clusters) {
    const Interval interval = summarize(scores, clusters).accuracy[0].interval;
    return interval.high - interval.low;
  };
  EXPECT_NEAR(width(pairs) / width(single), std::sqrt(2.0), 0.15);
}

TEST(TaskScore, McNemarMatchesClosedForms) {
  EXPECT_DOUBLE_EQ(mcnemar(0, 0).p, 1);
  EXPECT_DOUBLE_EQ(mcnemar(3, 3).p, 1);
  EXPECT_NEAR(mcnemar(5, 0).p, 0.0625, 1e-12);          // 2 / 2^5
  EXPECT_NEAR(mcnemar(0, 6).p, 0.03125, 1e-12);         // 2 / 2^6
  EXPECT_NEAR(mcnemar(8, 1).p, 0.0390625, 1e-12);       // 2 (1 + 9) / 2^9
  EXPECT_NEAR(mcnemar(10, 2).p, 0.03857421875, 1e-12);  // 2 (1 + 12 + 66) / 2^12
  EXPECT_NEAR(mcnemar(2, 10).p, mcnemar(10, 2).p, 0);   // of both directions alike
  // Large counts: the normal approximation with the continuity correction, (|b - c| - 1)^2 / (b + c) = 4.84 -> p = 0.0278.
  EXPECT_NEAR(mcnemar(561, 439).p, 2 * 0.5 * std::erfc((122 - 1) / std::sqrt(1000.0) / std::sqrt(2.0)), 2e-5);
}

TEST(TaskScore, PairedChangesByHand) {
  std::vector<ItemScore> base(4), model(4);
  base[0].right[0] = base[1].right[0] = model[1].right[0] = model[2].right[0] = model[3].right[0] = true;
  model[0].choice[0] = 1;
  base[2].margin = 1;
  model[2].margin = 3;
  const uint32_t own[] = {0, 1, 2, 3};
  const TaskComparison comparison = compare(base, model, own);
  EXPECT_DOUBLE_EQ(comparison.accuracy_change[0].value, 0.25);
  EXPECT_EQ(comparison.test[0].only_base, 1u);
  EXPECT_EQ(comparison.test[0].only_model, 2u);
  EXPECT_DOUBLE_EQ(comparison.test[0].p, 1);
  EXPECT_DOUBLE_EQ(comparison.changed[0], 0.25);
  EXPECT_DOUBLE_EQ(comparison.margin_change.value, 0.5);
  EXPECT_FALSE(comparison.detectable[0]);
  // A model against itself: nothing differs, and nothing ever could.
  const TaskComparison same = compare(base, base, own);
  EXPECT_EQ(same.test[0].discordant(), 0u);
  EXPECT_EQ(same.margin_change.interval.low, 0);
  EXPECT_EQ(same.margin_change.interval.high, 0);
}

TEST(TaskScore, DetectableChangeHasTheStatedPower) {
  EXPECT_FALSE(detectable_change(100, 5));  // 2 / 2^5 > 0.05
  ASSERT_TRUE(detectable_change(100, 6));
  for (const uint64_t discordant : {12, 40, 150}) {
    const uint64_t items = 500;
    const std::optional<double> change = detectable_change(items, discordant);
    ASSERT_TRUE(change);
    const double share = 0.5 * (1 + *change * static_cast<double>(items) / static_cast<double>(discordant));
    constexpr int kTrials = 4000;
    int found = 0;
    for (int trial = 0; trial < kTrials; ++trial) {
      CounterRandom random(discordant, static_cast<uint64_t>(trial));
      uint64_t one = 0;
      for (uint64_t i = 0; i < discordant; ++i) one += random.next_uniform() < share;
      found += mcnemar(one, discordant - one).p <= 0.05;
    }
    EXPECT_NEAR(static_cast<double>(found) / kTrials, 0.8, 0.02) << discordant;  // 3 standard errors
    // Without a change the test errs in at most 5 %.
    EXPECT_LE(mcnemar_power(discordant, 0.5), 0.05);
  }
  // More items that differ make the same share easier to see.
  EXPECT_LT(*detectable_change(1000, 200) / 0.2, *detectable_change(100, 20) / 0.2);
}

}  // namespace
}  // namespace assay
