#include "assay/study/qpsa_analysis.h"

#include <gtest/gtest.h>

#include <cmath>

namespace assay {
namespace {

TEST(QpsaAnalysis, RegionsByHand) {
  const std::vector<RegionSample> samples = {
      {"Q5_0", "codes", 1, true, 1}, {"Q5_0", "codes", 3, true, 3}, {"Q5_0", "scale", 6, true, 32}, {"Q5_0", "scale", 0, false, 32}};
  const auto regions = regions_of(samples);
  ASSERT_EQ(regions.size(), 2u);
  EXPECT_EQ(regions[0].region, "scale");
  EXPECT_DOUBLE_EQ(regions[0].share_of_score, 0.6);
  EXPECT_DOUBLE_EQ(regions[0].mean_effect, 6);
  EXPECT_EQ(regions[0].non_finite, 1u);
  EXPECT_DOUBLE_EQ(regions[1].share_of_bytes, 0.5);
  EXPECT_DOUBLE_EQ(regions[1].mean_weights_changed, 2);
}

TEST(QpsaAnalysis, ShortcutByHand) {
  std::vector<SampledEffect> measured, predicted;
  for (int layer = 0; layer < 3; ++layer)
    for (uint64_t i = 0; i < 2; ++i) {
      measured.push_back({layer, "t", i, 2.0 * (layer + 1) + static_cast<double>(i), true});
      predicted.push_back({layer, "t", i, measured.back().effect / 2, true});
    }
  measured.push_back({0, "t", 2, 99, false});
  predicted.push_back({0, "t", 2, 1, true});
  QpsaShortcut shortcut;
  shortcut.scores = {3, 2, 1};
  compare_shortcut(measured, predicted, std::vector<double>(7, 0.27), 3, shortcut);
  EXPECT_EQ(shortcut.weights_compared, 6u);
  EXPECT_DOUBLE_EQ(*shortcut.rho_weights, 1);
  EXPECT_DOUBLE_EQ(shortcut.sum_ratio, 2);
  EXPECT_NEAR(shortcut.second_order_share, 6 * 0.27 / 27, 1e-12);
  EXPECT_DOUBLE_EQ(*shortcut.rho_layers_same, 1);
  EXPECT_DOUBLE_EQ(*shortcut.rho_layers_all, -1);
}

TEST(QpsaAnalysis, RandomDrawsBecomeQuartiles) {
  std::vector<QpsaPruning> rows;
  for (const double ratio : {5, 1, 2, 4, 3}) rows.push_back({"random", 2, ratio, {}, {}, {}});
  rows.push_back({"m", 2, 7, {}, {1, 2}, {}});
  const auto summary = summarize_pruning(rows);
  ASSERT_EQ(summary.size(), 2u);
  EXPECT_EQ(summary[0].method, "m");
  EXPECT_DOUBLE_EQ(summary[1].ppl_ratio, 3);
  EXPECT_DOUBLE_EQ(summary[1].quartiles->first, 2);
  EXPECT_DOUBLE_EQ(summary[1].quartiles->second, 4);
}

// Segments whose mean NLL differences are around `mean`.
std::vector<WindowSums> segments_around(double mean, double spread, size_t count = 16) {
  std::vector<WindowSums> segments(count);
  for (size_t i = 0; i < count; ++i) {
    segments[i].count = 10;
    segments[i].nll_difference = 10 * (mean + (i % 2 == 0 ? spread : -spread));
  }
  return segments;
}

TEST(QpsaAnalysis, PruningAgainstTheBestBaselineWithItsInterval) {
  std::vector<QpsaPruning> rows;
  const auto add = [&](const char* method, double difference, double spread) {
    rows.push_back({method, 2, std::exp(difference), {}, {}, segments_around(difference, spread)});
  };
  add("qpsa_byte", 0.5, 0.2);
  add("layer_ablation", 0.3, 0.2);  // the same segments are hard for it: the ratio is exp(0.2) in each
  add("random", 0.1, 0);
  add("random", 0.4, 0);
  add("random", 0.9, 0);  // median 0.4
  const auto statistics = pruning_statistics(rows, 1);
  ASSERT_EQ(statistics.size(), 1u);
  EXPECT_EQ(statistics[0].name, "ppl ratio of qpsa_byte over the best baseline at K = 2");
  EXPECT_NEAR(statistics[0].value, std::exp(0.2), 1e-12);
  EXPECT_NEAR(statistics[0].interval->first, std::exp(0.2), 0.01);
  // Where ablation comes out above the random draws' median, that is the best baseline, and the ratio is larger.
  EXPECT_LE(statistics[0].interval->second, std::exp(0.5 + 0.2 - 0.4) + 1e-9);
  rows[1].segments.resize(kLeastSegments - 1);
  EXPECT_FALSE(pruning_statistics(rows, 1)[0].interval);
}

TEST(QpsaAnalysis, ConvergenceOfNestedSamples) {
  std::vector<SampledEffect> effects;
  for (int layer = 0; layer < 8; ++layer)
    for (uint64_t i = 0; i < 16; ++i) effects.push_back({layer, "t", i, static_cast<double>(i < 4 ? -layer : layer), true});
  const auto rows = convergence_of("m", effects, 8, {4, 16});
  EXPECT_DOUBLE_EQ(*rows[0].rho_to_largest, -1);  // the first four say the opposite
  EXPECT_FALSE(rows[0].same_top_4);
  EXPECT_DOUBLE_EQ(*rows[1].rho_to_largest, 1);
  EXPECT_TRUE(rows[1].same_top_4 && rows[1].same_bottom_5);
}

TEST(QpsaAnalysis, ConcludesWithStatisticsQuadrantsAndVerdicts) {
  QpsaResult result;
  result.layers = 4;
  QpsaMethod byte, ablation;
  byte.name = "qpsa_byte";
  byte.scores = {4, 3, 2, 1};
  byte.ranking = {0, 1, 2, 3};
  byte.forward_equivalents = 800;
  byte.split_half = Correlation{0.5, std::pair{-0.3, 0.9}};
  ablation.name = "layer_ablation";
  ablation.scores = {1, 4, 3, 2};
  ablation.ranking = {1, 2, 3, 0};
  ablation.forward_equivalents = 4;
  result.methods = {byte, ablation};
  result.pruning = {{"qpsa_byte", 1, 1.5, {}, {3}, {}}, {"layer_ablation", 1, 1.2, {}, {0}, {}}};
  result.statistics = pruning_statistics(result.pruning, 0);
  result.loops = {
      {"repeat", 0, 0, 2, 1, 0.4, {}}, {"repeat", 1, 1, 2, 1, 0.2, {}}, {"repeat", 2, 2, 2, 1, 0.1, {}}, {"repeat", 3, 3, 2, 1, 0.2, {}}};
  conclude(result, {});
  EXPECT_EQ(result.quadrants[0], "sensitive but expendable");
  EXPECT_EQ(result.quadrants[1], "sensitive and essential");
  EXPECT_EQ(result.quadrants[2], "robust but essential");
  EXPECT_EQ(result.quadrants[3], "robust and expendable");
  const auto outcome = [&](const std::string& name) {
    for (const Verdict& verdict : result.verdicts)
      if (verdict.criterion.name == name) return verdict;
    return Verdict{};
  };
  EXPECT_DOUBLE_EQ(outcome("pruning retention").measured->value, 1.25);
  EXPECT_EQ(outcome("pruning retention").outcome, Outcome::kFailed);
  EXPECT_DOUBLE_EQ(outcome("speed").measured->value, 200);
  EXPECT_DOUBLE_EQ(outcome("looping").measured->value, 2);
  EXPECT_EQ(outcome("utility").outcome, Outcome::kNotMeasured);
  EXPECT_EQ(result.outcome, Outcome::kFailed);
}

TEST(QpsaAnalysis, LoopingHasAnIntervalOverTheText) {
  QpsaResult result;
  QpsaMethod byte;
  byte.name = "qpsa_byte";
  byte.ranking = {0, 1};
  result.methods = {byte};
  result.loops = {{"repeat", 0, 0, 2, 1, 0.4, segments_around(0.4, 0.1)}, {"repeat", 1, 1, 2, 1, 0.2, segments_around(0.2, 0)}};
  conclude(result, {});
  const auto found = std::find_if(result.statistics.begin(), result.statistics.end(),
                                  [](const Statistic& one) { return one.name == "damage of repeating the top half over the bottom half"; });
  ASSERT_NE(found, result.statistics.end());
  EXPECT_DOUBLE_EQ(found->value, 2);
  ASSERT_TRUE(found->interval);
  EXPECT_LT(found->interval->first, 2);
  EXPECT_GT(found->interval->second, 2);
  EXPECT_GE(found->interval->first, 1.5);
  EXPECT_LE(found->interval->second, 2.5);
}

}  // namespace
}  // namespace assay
