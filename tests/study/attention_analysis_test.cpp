#include "assay/study/attention_analysis.h"

#include <gtest/gtest.h>

#include <cmath>

namespace assay {
namespace {

// Windows with these perplexities, of a model whose perplexity is `base` everywhere; one document each.
std::vector<WindowSums> windows_of(const std::vector<double>& perplexities, double base) {
  std::vector<WindowSums> windows;
  for (const double ppl : perplexities) {
    WindowSums window;
    window.document = static_cast<uint32_t>(windows.size());
    window.count = 10;
    window.nll = 10 * std::log(ppl);
    window.nll_base = 10 * std::log(base);
    window.nll_difference = window.nll - window.nll_base;
    window.kl = window.nll_difference;
    windows.push_back(window);
  }
  return windows;
}

TEST(AttentionAnalysis, RecoveryByHand) {
  // methods.md 7.6: of a loss of 8 points of perplexity, 6 come back.
  EXPECT_DOUBLE_EQ(recovered_percent(28, 22, 20), 75);
  EXPECT_DOUBLE_EQ(recovered_percent(28, 28, 20), 0);
  EXPECT_DOUBLE_EQ(recovered_percent(28, 30, 20), -25);
  EXPECT_DOUBLE_EQ(recovered_percent(20, 20, 20), 0);  // no loss: divided by 1e-9, not by 0
  const auto top1 = windows_of({28, 28, 28}, 20), full = windows_of({20, 20, 20}, 20), mode = windows_of({22, 22, 22}, 20);
  const Estimate recovery = recovery_of(top1, full, mode, 1);
  EXPECT_NEAR(recovery.value, 75, 1e-9);
  ASSERT_TRUE(recovery.interval);  // windows agree: every resample says the same
  EXPECT_NEAR(recovery.interval->first, 75, 1e-9);
  EXPECT_NEAR(recovery.interval->second, 75, 1e-9);
  EXPECT_NEAR(perplexity_change(top1, 1).value, 8, 1e-9);
  EXPECT_NEAR(mean_loss(top1, 1).value, std::log(1.4), 1e-12);
  const auto one = windows_of({28}, 20);
  EXPECT_FALSE(perplexity_change(one, 1).interval);  // one window has no spread
  const auto apart = windows_of({21, 25, 21.5}, 20);
  const Estimate wide = recovery_of(top1, full, apart, 1);
  EXPECT_LT(wide.interval->first, wide.value);
  EXPECT_GT(wide.interval->second, wide.value);
}

TEST(AttentionAnalysis, TheLeadIsOverTheMeanOfTheControls) {
  const auto top1 = windows_of({28, 28}, 20), full = windows_of({20, 20}, 20), mode = windows_of({22, 22}, 20);
  const auto weak = windows_of({28, 28}, 20), strong = windows_of({24, 24}, 20);
  EXPECT_NEAR(lead_of(top1, full, mode, {weak}, 1).value, 75, 1e-9);
  EXPECT_NEAR(lead_of(top1, full, mode, {weak, strong}, 1).value, 50, 1e-9);  // 75 - (0 + 50) / 2
  EXPECT_NEAR(lead_of(top1, full, mode, {mode}, 1).interval->first, 0, 1e-9);
}

TEST(AttentionAnalysis, SpectrumByHand) {
  // Shares 0.6, 0.85, 0.95, 1: two below 0.9, so the effective dimension is 3.
  const double energy[] = {6, 2.5, 1, 0.5};
  const AttentionSpectrum spectrum = spectrum_of(3, 1, energy);
  EXPECT_EQ(spectrum.r90, 3);
  EXPECT_NEAR(spectrum.cumulative[1], 0.85, 1e-12);
  EXPECT_NEAR(spectrum.participation, 100 / (36 + 6.25 + 1 + 0.25), 1e-12);
  const double flat[] = {1, 1, 1, 1};
  EXPECT_NEAR(spectrum_of(0, 0, flat).participation, 4, 1e-12);
  const double nothing[] = {0, 0};
  EXPECT_EQ(spectrum_of(0, 0, nothing).r90, 1);
  EXPECT_EQ(spectrum_of(0, 0, nothing).participation, 0);
}

TEST(AttentionAnalysis, LayersAreMeansOfHeadsAndTheRuleIsTheSources) {
  AttentionSums sums;
  sums.layers = 2;
  sums.heads = 2;
  sums.diagnostics = {{10, 1.0, 8.0, 10}, {10, 2.0, 6.0, 9}, {10, 1.0, 9.0, 10}, {10, 3.2, 9.0, 10}};
  const auto layers = layers_of(heads_of(sums));
  ASSERT_EQ(layers.size(), 2u);
  EXPECT_NEAR(layers[0].ratio, 0.15, 1e-12);
  EXPECT_NEAR(layers[0].margin, 0.7, 1e-12);
  EXPECT_NEAR(layers[0].stability, 0.95, 1e-12);
  EXPECT_TRUE(layers[0].crystallised);
  EXPECT_NEAR(layers[1].ratio, 0.21, 1e-12);
  EXPECT_FALSE(layers[1].crystallised);  // 0.21 is not below 0.2
}

TEST(AttentionAnalysis, PredictionHasAnIntervalAndAPower) {
  const double x[] = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2}, up[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  const auto same = prediction_of("p2/p1", "layers", x, up, 3);
  ASSERT_TRUE(same);
  EXPECT_DOUBLE_EQ(same->rho.value, 1);
  EXPECT_GT(same->rho.interval->first, 0.99);
  EXPECT_EQ(same->n, 12u);
  // (1.645 + 0.842) / sqrt(11): one-sided 5 %, power 80 %.
  EXPECT_NEAR(same->detectable, 0.7497, 0.0005);
  const double flat[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  EXPECT_FALSE(prediction_of("p2/p1", "layers", x, flat, 3));
  EXPECT_FALSE(prediction_of("p2/p1", "layers", {}, {}, 3));
}

RecoveryPoint point(int rank, double low, double value, double high) { return {rank, {value, std::pair{low, high}}}; }
const Estimate kLoss{16.5, std::pair{14.0, 19.0}};
const Estimate kAhead{20, std::pair{15.0, 25.0}}, kEven{1, std::pair{-2.0, 4.0}};

TEST(AttentionVerdict, TheSourcesNumbersArePartialByItsRule) {
  // methods.md 6.5: 33, 46, 71, 87 %.
  const RecoveryPoint curve[] = {point(1, 30, 33, 36), point(4, 43, 46, 49), point(16, 68, 71, 74), point(32, 85, 87, 89)};
  const AttentionVerdict verdict = verdict_of(curve, 64, kLoss, 16, kAhead, kAhead);
  EXPECT_FALSE(verdict.published_yes);
  EXPECT_EQ(verdict.published_rank, 32);
  EXPECT_EQ(verdict.published_recovery, 87);
  EXPECT_EQ(verdict.ours, "partial");
  EXPECT_FALSE(verdict.rank);
  EXPECT_TRUE(*verdict.beats_random);
}

TEST(AttentionVerdict, YesNeedsTheLowerEnd) {
  const RecoveryPoint by_value[] = {point(8, 80, 85, 90), point(16, 88, 92, 96)};
  EXPECT_TRUE(verdict_of(by_value, 64, kLoss, 16, kAhead, kAhead).published_yes);
  EXPECT_EQ(verdict_of(by_value, 64, kLoss, 16, kAhead, kAhead).ours, "partial");
  const RecoveryPoint certain[] = {point(4, 88, 91, 94), point(8, 90, 93, 96), point(16, 95, 97, 99)};
  const AttentionVerdict verdict = verdict_of(certain, 64, kLoss, 16, kAhead, kAhead);
  EXPECT_EQ(verdict.published_rank, 4);
  EXPECT_EQ(verdict.ours, "yes");
  EXPECT_EQ(*verdict.rank, 8);
  EXPECT_NE(verdict.sentence.find("more than the controls"), std::string::npos);
  // A rank as large as the head is exact whatever the basis, and says nothing.
  const RecoveryPoint whole[] = {point(32, 60, 70, 80), point(64, 100, 100, 100)};
  EXPECT_EQ(verdict_of(whole, 64, kLoss, 32, kAhead, kAhead).ours, "partial");
  EXPECT_FALSE(verdict_of(whole, 64, kLoss, 32, kAhead, kAhead).published_yes);
}

TEST(AttentionVerdict, NoWhereNotEvenHalfComesBack) {
  const RecoveryPoint little[] = {point(1, -2, 1, 4), point(32, 40, 44, 49.9)};
  const AttentionVerdict verdict = verdict_of(little, 64, kLoss, 32, kAhead, kAhead);
  EXPECT_EQ(verdict.ours, "no");
  EXPECT_FALSE(verdict.published_yes);  // the source would call it partial
  const RecoveryPoint half[] = {point(32, 40, 44, 50)};
  EXPECT_EQ(verdict_of(half, 64, kLoss, 32, kAhead, kAhead).ours, "partial");
}

TEST(AttentionVerdict, ControlsAreHeldAgainstIt) {
  const RecoveryPoint certain[] = {point(8, 90, 93, 96)};
  for (const auto& [random, values] : {std::pair{kEven, kAhead}, std::pair{kAhead, kEven}}) {
    const AttentionVerdict verdict = verdict_of(certain, 64, kLoss, 8, random, values);
    EXPECT_EQ(verdict.ours, "yes");
    EXPECT_NE(verdict.sentence.find("not more than an uninformative basis"), std::string::npos) << verdict.sentence;
  }
  EXPECT_NE(verdict_of(certain, 64, kLoss, 8, {}, {}).sentence.find("without controls"), std::string::npos);
}

TEST(AttentionVerdict, NothingToRecover) {
  const RecoveryPoint noise[] = {point(8, -900, 200, 900)};
  EXPECT_EQ(verdict_of(noise, 64, {0.1, std::pair{-0.1, 0.3}}, 8, kAhead, kAhead).ours, "nothing to recover");
  EXPECT_EQ(verdict_of({}, 64, kLoss, 8, {}, {}).ours, "not measured");
}

TEST(AttentionSavings, ByHand) {
  // 1,000 tokens, one layer, 4 query heads on 2 heads of keys, head size 64, 2 bytes a number.
  const DecoderShape shape{1, 4, 2, 64, 1000, 2};
  const DecoderCost full = full_cost(shape);
  EXPECT_EQ(full.bytes, 2.0 * 1000 * 64 * 2 * 2);  // K and V
  EXPECT_EQ(full.flops, 4.0 * 1000 * 64 * 4);
  EXPECT_EQ(full.cache, full.bytes);
  const DecoderCost top1 = top_k_cost(shape, 1);
  EXPECT_EQ(top1.bytes, (1000.0 * 64 * 2 + 4 * 64) * 2);  // K, and a row of V per query head
  EXPECT_EQ(top1.flops, 2.0 * 1000 * 64 * 4 + 2 * 64 * 4);
  EXPECT_GT(top1.bytes, full.bytes / 2);
  const DecoderCost rank8 = low_rank_cost(shape, 8);
  EXPECT_EQ(rank8.bytes, (1000.0 * 64 * 2 + 1000.0 * 8 * 4 + 4 * 64 + 64 * 8 * 4) * 2);
  EXPECT_EQ(rank8.flops, 2.0 * 1000 * 64 * 4 + 2.0 * 1000 * 8 * 4 + 4.0 * 64 * 8 * 4);
  EXPECT_EQ(rank8.cache, full.cache + 1000.0 * 8 * 4 * 2);
  // Four projections of 32 are the two values of 64: nothing is saved in bytes.
  EXPECT_EQ(low_rank_cost(shape, 32).bytes, full.bytes);
  EXPECT_LE(low_rank_cost(shape, 64).flops, full.flops);
  // Twice the layers, twice everything; k beyond the tokens reads no more rows than there are.
  EXPECT_EQ(full_cost({2, 4, 2, 64, 1000, 2}).bytes, 2 * full.bytes);
  EXPECT_EQ(top_k_cost(shape, 5000).bytes, full.bytes);
}

TEST(AttentionConclusion, StatisticsAndVerdictsFollowTheRows) {
  AttentionResult result;
  result.layers = 2;
  result.heads = 2;
  result.kv_heads = 1;
  result.head_dim = 8;
  result.chosen = {1};
  result.verdict.compared_rank = 2;
  result.noise_floor = 1e-10;
  const auto add = [&](AttentionMode mode, double loss) -> AttentionRow& {
    AttentionRow row;
    row.mode = std::move(mode);
    row.loss = {loss, std::pair{loss / 2, 2 * loss}};
    row.ppl_change = row.loss;
    result.rows.push_back(std::move(row));
    return result.rows.back();
  };
  add({"full", 0, "", 0, "together", {1}}, 0).kl = {1e-11, {}};
  add({"top-1", 0, "", 0, "together", {1}}, 3);
  for (const int rank : {2, 4}) add({"low-rank", rank, "residual", 0, "together", {1}}, 1).recovery = {95, std::pair{91.0, 97.0}};
  add({"low-rank", 2, "random", 0, "together", {1}}, 2).lead = {30, std::pair{20.0, 40.0}};
  add({"low-rank", 2, "values", 0, "together", {1}}, 2).lead = {-3, std::pair{-5.0, -1.0}};
  add({"top-1", 0, "", 0, "suffixes", {1}}, 0.7);
  add({"top-1", 0, "", 0, "suffixes", {0, 1}}, 4);
  AttentionConfig config;
  config.top_k = {2};
  conclude(result, config);
  ASSERT_EQ(result.verdicts.size(), 5u);
  EXPECT_EQ(result.verdicts[0].outcome, Outcome::kPassed);       // full: below the floor
  EXPECT_EQ(result.verdicts[1].outcome, Outcome::kPassed);       // 91 at least
  EXPECT_EQ(result.verdicts[2].outcome, Outcome::kPassed);       // ahead of random
  EXPECT_EQ(result.verdicts[3].outcome, Outcome::kFailed);       // behind the values
  EXPECT_EQ(result.verdicts[4].outcome, Outcome::kNotMeasured);  // no layer alone
  EXPECT_EQ(result.outcome, Outcome::kFailed);
  EXPECT_EQ(result.verdict.ours, "yes");
  EXPECT_EQ(*result.verdict.rank, 2);
  EXPECT_FALSE(*result.verdict.beats_values);
  // Budgets 0.5, 1, 5 of top-1: none, the last layer, both.
  std::vector<int> layers;
  for (const AttentionBudget& one : result.budgets)
    if (one.rule == "top-1") layers.push_back(one.layers);
  EXPECT_EQ(layers, (std::vector<int>{0, 1, 2}));
  EXPECT_EQ(result.savings.size(), 4u);  // top-1, top-2, ranks 2 and 4
}

}  // namespace
}  // namespace assay
