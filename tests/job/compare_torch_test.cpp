// The tournament on the bundled model: curvature predicts measured damage, a number drawn by lot does not.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "assay/engine.h"

namespace assay {
namespace {

CompareOptions small_run() {
  CompareOptions options;
  options.score.model = ASSAY_SOURCE_DIR "/demo/reference-9m";
  options.score.text.path = ASSAY_SOURCE_DIR "/demo/evaluation.txt";
  options.score.text.windows.ctx = 128;
  options.score.text.windows.chunks = 3;
  options.score.scores = {"random", "size", "weight_error", "bi", "curvature"};
  options.score.types = {GgmlType::kQ3_K, GgmlType::kQ4_K};
  options.truths = {CompareTruth::kDamage, CompareTruth::kRemoval, CompareTruth::kJoint, CompareTruth::kPlan};
  options.recipes = 16;
  options.sizes = {3.7, 4.2};
  options.tournament.resamples = 200;
  options.tournament.permutations = 499;
  return options;
}

// Q-PSA is about codes, and the bundled model has none.
TEST(Compare, DoesNotJudgeAScoreWithoutValues) {
  CompareOptions options = small_run();
  options.score.scores = {"random", "qpsa_level"};
  options.truths = {CompareTruth::kRemoval};
  const auto made = assay_engine()->compare_scores(options, RunSettings{}, silent_progress());
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_EQ(made->truths[0].judgements.size(), 1u);
  EXPECT_EQ(made->truths[0].judgements[0].name, "random");
  ASSERT_EQ(made->notes.size(), 1u);
  EXPECT_EQ(made->notes[0].find("qpsa_level is not judged, it has no values: no matrix"), 0u) << made->notes[0];
  options.score.scores = {"qpsa_level"};
  const auto nothing = assay_engine()->compare_scores(options, RunSettings{}, silent_progress());
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().code, ErrorCode::kUsage);
}

TEST(Compare, JudgesScoresByFourTruths) {
  const CompareOptions options = small_run();
  const auto made = assay_engine()->compare_scores(options, RunSettings{}, silent_progress());
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_EQ(made->truths.size(), 4u);
  EXPECT_EQ(made->truths[0].items, 170u);  // 85 matrices at two types
  EXPECT_EQ(made->truths[1].items, 36u);   // 12 blocks, and their halves
  EXPECT_EQ(made->truths[2].items, 16u);
  const auto judged = [&](size_t truth, std::string_view score) -> const ScoreJudgement& {
    const auto& list = made->truths[truth].judgements;
    return *std::find_if(list.begin(), list.end(), [&](const ScoreJudgement& one) { return one.name == score; });
  };
  const ScoreJudgement& curvature = judged(0, "curvature");
  EXPECT_EQ(curvature.verdict, ScoreVerdict::kInformative);
  EXPECT_GT(*curvature.within_type.spearman.value, 0.8);
  EXPECT_NEAR(*curvature.calibration.ratio, 1, 0.3);
  EXPECT_NE(judged(0, "random").verdict, ScoreVerdict::kInformative);
  EXPECT_LT(std::abs(*judged(0, "random").within_type.spearman.value), 0.3);
  // A score of layers says nothing of the embedding, and so of fewer items.
  EXPECT_EQ(judged(0, "bi").items, 168u);
  EXPECT_EQ(judged(1, "bi").items, 12u);
  EXPECT_GT(*judged(2, "curvature").overall.spearman.value, 0.9);

  // Of each size one recipe is the best, and the measured damages' is never far from it.
  std::set<double> best;
  for (const PlannedRecipe& plan : made->plans) {
    EXPECT_GE(plan.regret.value, 0);
    if (plan.regret.value == 0) best.insert(plan.bpw);
    if (plan.score == "measured") {
      EXPECT_LT(plan.regret.value, 0.25);
    }
    if (plan.score == "random") {
      EXPECT_GT(plan.regret.value, 0.1);
    }
  }
  EXPECT_EQ(best.size(), 2u);
}

// The same bits from one thread and from two; few tokens are enough, every truth and score runs on them.
TEST(Compare, RepeatsWhateverTheThreads) {
  CompareOptions options = small_run();
  options.score.text.windows.ctx = 32;
  options.score.text.windows.chunks = 2;
  options.recipes = 8;
  options.sizes = {3.7};
  RunSettings one, two;
  one.threads = 1;
  two.threads = 2;
  const auto made = assay_engine()->compare_scores(options, two, silent_progress());
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_EQ(made->truths.size(), 4u);
  const auto again = assay_engine()->compare_scores(options, one, silent_progress());
  ASSERT_TRUE(again) << again.error().message;
  for (size_t t = 0; t < made->truths.size(); ++t) {
    ASSERT_EQ(made->truths[t].judgements.empty(), t == 3);  // plans are compared below
    for (size_t s = 0; s < made->truths[t].judgements.size(); ++s) {
      const ScoreJudgement &a = made->truths[t].judgements[s], &b = again->truths[t].judgements[s];
      EXPECT_EQ(a.within_type.spearman.value, b.within_type.spearman.value) << a.name;
      EXPECT_EQ(a.p, b.p) << a.name;
    }
  }
  ASSERT_FALSE(made->plans.empty());
  for (size_t p = 0; p < made->plans.size(); ++p) EXPECT_EQ(made->plans[p].kl.value, again->plans[p].kl.value);
}

}  // namespace
}  // namespace assay
