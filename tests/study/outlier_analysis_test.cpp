#include "assay/study/outlier_analysis.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace assay {
namespace {

WindowSums sums_of(uint32_t document, uint64_t count, double kl, uint64_t flips = 0, double nll_difference = 0) {
  WindowSums sums;
  sums.document = document;
  sums.count = count;
  sums.kl = kl;
  sums.flips = flips;
  sums.nll_base = static_cast<double>(count) * std::log(10.0);
  sums.nll_difference = nll_difference;
  sums.margin_change = -0.5 * static_cast<double>(count);
  return sums;
}

TEST(OutlierAnalysis, BehaviourByHand) {
  // 100 positions with KL 1 to 100 in two prompts of 60 and 40 (methods.md 9: 98 at 5 %).
  std::vector<float> kl(100);
  for (size_t i = 0; i < 100; ++i) kl[i] = static_cast<float>(100 - i);
  const std::vector<WindowSums> sums = {sums_of(0, 60, 60 * 70.5, 6, 60 * std::log(2.0)), sums_of(1, 40, 40 * 20.5, 1, 0)};
  const PromptObservation observed{sums, kl};
  const Behaviour all = behaviour_of(observed, 0.05);
  EXPECT_EQ(all.tokens, 100u);
  EXPECT_NEAR(all.kl, 50.5, 1e-12);
  EXPECT_NEAR(all.tail_kl, 98, 1e-12);
  EXPECT_NEAR(all.flip_rate, 0.07, 1e-12);
  EXPECT_NEAR(all.margin_change, -0.5, 1e-12);
  EXPECT_NEAR(all.ppl_base, 10, 1e-9);
  EXPECT_NEAR(all.ppl_change(), std::pow(2.0, 0.6) - 1, 1e-12);

  const uint32_t strata[] = {1, 0};
  const auto by = behaviour_by_stratum(observed, 0.05, strata, 2);
  ASSERT_EQ(by.size(), 2u);
  EXPECT_NEAR(by[0].tail_kl, (40 + 39) / 2.0, 1e-12);  // ceil(0.05 x 40) = 2
  EXPECT_NEAR(by[1].tail_kl, (100 + 99 + 98) / 3.0, 1e-12);
  EXPECT_NEAR(by[1].ppl, 20, 1e-9);
  // Strata weighted by their tokens are the whole.
  EXPECT_NEAR((40 * by[0].kl + 60 * by[1].kl) / 100, all.kl, 1e-12);

  // A single value is its own tail, ties at the border count once each, none is 0.
  const std::vector<WindowSums> one = {sums_of(0, 1, 3)};
  const std::vector<float> three = {3};
  EXPECT_EQ(behaviour_of({one, three}, 0.05).tail_kl, 3);
  const std::vector<WindowSums> tied = {sums_of(0, 40, 0)};
  std::vector<float> ties(40, 2.0f);
  ties[7] = 5;
  EXPECT_EQ(behaviour_of({tied, ties}, 0.05).tail_kl, 3.5);
  EXPECT_EQ(behaviour_of({{}, {}}, 0.05).tail_kl, 0);
}

TEST(OutlierAnalysis, DilutionMovesTheMeanAndNotTheTail) {
  std::vector<float> few(100, 0.0f), many(1000, 0.0f);
  for (size_t i = 0; i < 5; ++i) few[i] = 1;
  for (size_t i = 0; i < 50; ++i) many[i * 20] = 1;
  const std::vector<WindowSums> a = {sums_of(0, 100, 5)}, b = {sums_of(0, 1000, 50)};
  EXPECT_EQ(behaviour_of({a, few}, 0.05).tail_kl, 1);
  EXPECT_EQ(behaviour_of({b, many}, 0.05).tail_kl, 1);
  std::reverse(many.begin(), many.end());
  EXPECT_EQ(behaviour_of({b, many}, 0.05).tail_kl, 1);
  EXPECT_LT(behaviour_of({b, many}, 0.5).tail_kl, 0.2);
}

TEST(OutlierAnalysis, SharesAndInteractionsByHand) {
  std::vector<WindowSums> damage, outliers, first, second;
  for (uint32_t p = 0; p < 10; ++p) {
    damage.push_back(sums_of(p, 10, 10 * (1.0 + p)));
    outliers.push_back(sums_of(p, 10, 7 * (1.0 + p)));
    first.push_back(sums_of(p, 10, 9 * (1.0 + p)));
    second.push_back(sums_of(p, 10, 10 * (1.0 + p)));
  }
  const Interval share = recovery_of(damage, outliers, 1);
  EXPECT_NEAR(share.value, 0.3, 1e-9);
  EXPECT_NEAR(share.low, 0.3, 1e-9);  // the same in every prompt
  EXPECT_NEAR(share.high, 0.3, 1e-9);
  const std::span<const WindowSums> controls[] = {first, second};
  EXPECT_NEAR(excess_of(damage, outliers, controls, 1).value, 0.3 - 0.05, 1e-9);
  EXPECT_EQ(recovery_of(damage, damage, 1).value, 0);
  std::vector<WindowSums> none = damage;
  for (WindowSums& sums : none) sums.kl = 0;
  EXPECT_NEAR(recovery_of(damage, none, 1).value, 1, 1e-9);
  const std::span<const WindowSums> set[] = {damage, outliers, first};  // 5.5 - 3.85 - 4.95
  EXPECT_NEAR(interaction_of(set, 1).value, -3.3, 1e-9);
}

TEST(OutlierAnalysis, PositionsFallIntoBinsThatDouble) {
  EXPECT_EQ(position_bins(10), (std::vector<std::string>{"0", "1", "2-3", "4-7", "8-9"}));
  EXPECT_EQ(position_bins(1), (std::vector<std::string>{"0"}));
  for (const auto& [position, bin] : {std::pair{0, 0}, {1, 1}, {2, 2}, {3, 2}, {4, 3}, {7, 3}, {8, 4}})
    EXPECT_EQ(position_bin(static_cast<uint64_t>(position)), static_cast<size_t>(bin)) << position;
}

TEST(OutlierAnalysis, TheClaimIsJudgedByItsInterval) {
  OutlierConfig config;
  config.share_types = {GgmlType::kQ4_K};
  config.share_k = {10};
  const auto judged = [&](double low, double high) {
    OutlierResult result;
    OutlierShare share;
    share.type = "Q4_K";
    share.selection = "outliers";
    share.k = 10;
    share.share = {(low + high) / 2, low, high};
    result.shares.push_back(share);
    conclude(result, config);
    EXPECT_EQ(result.verdicts.size(), 1u);
    return result.outcome;
  };
  EXPECT_EQ(judged(0.02, 0.05), Outcome::kPassed);
  EXPECT_EQ(judged(0.001, 0.005), Outcome::kFailed);
  EXPECT_EQ(judged(0.005, 0.02), Outcome::kInconclusive);
}

TEST(OutlierAnalysis, CsvHasAllFieldsOfEveryWeight) {
  OutlierResult result;
  result.strata = {"code", "a, \"b\""};
  OutlierRow row;
  row.place = {"blk.0.ffn_up.weight", {1, 2}};
  row.strata.resize(2);
  result.rows = {row, row};
  const std::string csv = to_csv(result);
  // Outside quotes every line has as many commas.
  std::vector<size_t> commas = {0};
  bool quoted = false;
  for (const char c : csv) {
    if (c == '"') quoted = !quoted;
    if (c == ',' && !quoted) ++commas.back();
    if (c == '\n') commas.push_back(0);
  }
  ASSERT_EQ(commas.size(), 4u);
  EXPECT_EQ(commas[0], commas[1]);
  EXPECT_EQ(commas[0], commas[2]);
  EXPECT_GT(commas[0], 40u);
}

}  // namespace
}  // namespace assay
