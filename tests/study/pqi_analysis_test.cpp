#include "assay/study/pqi_analysis.h"

#include <gtest/gtest.h>

namespace assay {
namespace {

TEST(PqiAnalysis, CurvatureByHand) {
  // The source's Table 2 (methods.md 6.4), first order 8.92e-4: c = 0.0911 at 0.1 and 0.0914 at 0.05.
  const double first[] = {8.92e-4}, at_tenth[] = {1.00e-3}, at_twentieth[] = {2.73e-4};
  const uint32_t documents[] = {0};
  const Estimate tenth = curvature_of(at_tenth, first, 0.1, documents, 1);
  EXPECT_NEAR(tenth.value, 0.0911, 5e-5);
  EXPECT_FALSE(tenth.interval);  // one window
  EXPECT_NEAR(curvature_of(at_twentieth, first, 0.05, documents, 1).value, 0.0914, 5e-5);
  // A quadratic has the same curvature everywhere, window by window.
  const double firsts[] = {0.3, -0.1};
  const uint32_t two[] = {0, 1};
  for (const double lambda : {0.01, 0.5, 1.0}) {
    const double changes[] = {0.3 * lambda + 2 * lambda * lambda, -0.1 * lambda + 4 * lambda * lambda};
    EXPECT_NEAR(curvature_of(changes, firsts, lambda, two, 1).value, 3, 1e-9);
  }
}

TEST(PqiAnalysis, RatiosOfMeansHaveIntervals) {
  const double above[] = {1, 2, 3, 4}, below[] = {2, 4, 6, 8}, other[] = {4, 2, 6, 1};
  const uint32_t documents[] = {0, 1, 2, 3};
  const Estimate same = window_ratio(above, below, documents, 7);
  EXPECT_DOUBLE_EQ(same.value, 0.5);
  ASSERT_TRUE(same.interval);  // every resample has the same ratio
  EXPECT_NEAR(same.interval->first, 0.5, 1e-12);
  EXPECT_NEAR(same.interval->second, 0.5, 1e-12);
  const Estimate apart = window_ratio(above, other, documents, 7);
  EXPECT_DOUBLE_EQ(apart.value, 10.0 / 13);
  ASSERT_TRUE(apart.interval);
  EXPECT_LT(apart.interval->first, apart.value);
  EXPECT_GT(apart.interval->second, apart.value);
  EXPECT_DOUBLE_EQ(window_mean(above, documents, 7).value, 2.5);
}

TEST(PqiAnalysis, OverlapByHand) {
  std::vector<double> a(2000), b(2000);
  for (size_t i = 0; i < a.size(); ++i) a[i] = b[i] = static_cast<double>(i);
  const PqiAgreement same = agreement_of("a", "a", a, b);
  ASSERT_EQ(same.overlaps.size(), 3u);
  EXPECT_DOUBLE_EQ(*same.spearman, 1);
  for (const auto& [part, share] : same.overlaps) EXPECT_DOUBLE_EQ(share, 1) << part;
  // The top three (0.15 %): one of them falls to the end in b.
  b[1999] = -1;
  EXPECT_NEAR(agreement_of("a", "b", a, b).overlaps[0].second, 2.0 / 3, 1e-12);
  std::reverse(b.begin(), b.end());
  EXPECT_DOUBLE_EQ(agreement_of("a", "b", a, b).overlaps[0].second, 0);
}

TEST(PqiAnalysis, IntervalsDouble) {
  EXPECT_EQ(closure_intervals(PathRule::kLeft, 8), (std::vector<int>{1, 2, 4, 8}));
  EXPECT_EQ(closure_intervals(PathRule::kMidpoint, 12), (std::vector<int>{1, 2, 4, 8, 12}));
  EXPECT_EQ(closure_intervals(PathRule::kMidpoint, 1), (std::vector<int>{1}));
  EXPECT_EQ(closure_intervals(PathRule::kGauss, 32).back(), 8);
}

TEST(PqiAnalysis, TheClaimIsJudgedByItsInterval) {
  const auto judged = [](double low, double high) {
    PqiStudyResult result;
    PqiOfType one;
    one.type = "Q4_K";
    one.all.change.value = 1;
    one.all.share = {(low + high) / 2, std::pair{low, high}};
    result.types.push_back(one);
    conclude(result, {GgmlType::kQ4_K}, {});
    EXPECT_EQ(result.verdicts.size(), 2u);
    return result.outcome;
  };
  EXPECT_EQ(judged(0.85, 1.1), Outcome::kPassed);
  EXPECT_EQ(judged(0.75, 1.1), Outcome::kInconclusive);
  EXPECT_EQ(judged(1.1, 1.3), Outcome::kInconclusive);
  EXPECT_EQ(judged(0.1, 0.7), Outcome::kFailed);
  EXPECT_EQ(judged(1.3, 1.5), Outcome::kFailed);
}

TEST(PqiConfig, TheShippedConfigIsReadAndItsFaultsAreNamed) {
  const auto config = read_pqi_config(ASSAY_SOURCE_DIR "/studies/pqi_demo.yaml");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->types, pqi_defaults(false).types);
  EXPECT_EQ(config->intervals, 32);
  const auto defaults = default_pqi_criteria(config->types);
  ASSERT_EQ(config->criteria.size(), defaults.size());
  for (size_t i = 0; i < defaults.size(); ++i) {
    EXPECT_EQ(config->criteria[i].name, defaults[i].name);
    EXPECT_EQ(config->criteria[i].statistic, defaults[i].statistic);
    EXPECT_EQ(config->criteria[i].threshold, defaults[i].threshold);
  }
  ASSERT_TRUE(parse_pqi_config("{types: [Q2_K], intervals: 4, rules: [gauss], layers: 0-1}", true, "c"));
  for (const auto& [text, word] : std::vector<std::pair<const char*, const char*>>{
           {"{types: [Q9]}", "types[0]"}, {"{intervals: 0}", "intervals"}, {"{rules: [middle]}", "middle"}, {"{tpyes: [Q2_K]}", "tpyes"}}) {
    const auto refused = parse_pqi_config(text, true, "c");
    ASSERT_FALSE(refused) << text;
    EXPECT_NE(refused.error().message.find(word), std::string::npos) << refused.error().message;
  }
}

}  // namespace
}  // namespace assay
