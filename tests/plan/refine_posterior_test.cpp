#include "assay/plan/refine_posterior.h"

#include <gtest/gtest.h>

#include <cmath>

#include "assay/base/sum.h"

namespace assay {
namespace {

using T = GgmlType;
constexpr double kRounding = 1e-12;

RefineCell cell(T type, uint64_t bytes, double predicted, double error = 0) {
  RefineCell made;
  made.type = type;
  made.bytes = bytes;
  made.predicted = {predicted, error};
  return made;
}

// One row of two types, one of them measured at twice what was predicted: every shrinkage by hand.
TEST(RefinePosterior, ShrinksWhatOneMeasurementSays) {
  RefineProblem problem;
  problem.context_spread = 0;
  problem.rows = {{"a", 0, 1, {cell(T::kQ4_K, 2, 1), cell(T::kQ2_K, 1, 4)}}};
  problem.rows[0].cells[0].alone = {2, 0};
  const Posterior posterior = posterior_of(problem);
  const double log2 = std::log(2.0);
  EXPECT_NEAR(posterior.bias, std::exp(log2 / 5), kRounding);
  // Left after all (1/5), role (1/5 of the rest), type (1/5): 0.512 log 2, half of it the row's.
  const double spread = std::sqrt((4 * 0.09 + std::pow(0.512 * log2, 2)) / 5);
  EXPECT_NEAR(posterior.spread, spread, kRounding);
  const PosteriorCell &measured = posterior.cells[0][0], &other = posterior.cells[0][1];
  EXPECT_EQ(measured.mean, 2);
  EXPECT_EQ(measured.deviation(), 0);
  EXPECT_NEAR(other.mean, 4 * std::exp(log2 * (0.2 + 0.16 + 0.256)), kRounding);
  EXPECT_NEAR(other.own, other.mean * spread / std::sqrt(2), kRounding);
  EXPECT_NEAR(other.shared, other.mean * spread / 2, kRounding);
}

TEST(RefinePosterior, BeforeAnyMeasurementIsThePrediction) {
  RefineProblem problem;
  problem.context_spread = 0;
  problem.rows = {{"a", 0, 1, {cell(T::kQ4_K, 2, 2, 0.2)}}};
  problem.rows[0].cells.push_back(cell(T::kF16, 8, 0));
  problem.rows[0].cells[1].known = true;
  const Posterior posterior = posterior_of(problem);
  EXPECT_EQ(posterior.bias, 1);
  EXPECT_EQ(posterior.spread, kSpread);
  EXPECT_EQ(posterior.cells[0][0].mean, 2);
  EXPECT_NEAR(posterior.cells[0][0].deviation(), 2 * std::hypot(0.3, 0.1), kRounding);
  EXPECT_EQ(posterior.cells[0][1].deviation(), 0);
}

// A measurement with an error as large as the prior's meets it half-way.
TEST(RefinePosterior, WeighsByPrecision) {
  RefineProblem problem;
  problem.context_spread = 0;
  problem.rows = {{"a", 0, 1, {cell(T::kQ4_K, 2, 1)}}, {"b", 1, 1, {cell(T::kQ4_K, 2, 0, 0.5)}}};
  problem.rows[1].cells[0].alone = {1, 0.5};  // nothing predicted: no ratio, the prior is 0 +- 0.5
  const Posterior posterior = posterior_of(problem);
  EXPECT_EQ(posterior.bias, 1);
  EXPECT_NEAR(posterior.cells[1][0].mean, 0.5, kRounding);
  EXPECT_NEAR(posterior.cells[1][0].deviation(), std::sqrt(0.125), kRounding);
}

// The bias of a role and of a type is found where all of it is measured, and carried to the cells that are not.
TEST(RefinePosterior, LearnsBiasesOfRolesAndTypes) {
  RefineProblem problem;
  problem.context_spread = 0;
  for (int r = 0; r < 80; ++r) {
    const double role = r % 2 ? 2 : 1;
    problem.rows.push_back({"r", r % 2, 1, {cell(T::kQ2_K, 1, 0.4), cell(T::kQ4_K, 2, 0.1)}});
    if (r >= 60) continue;
    problem.rows.back().cells[0].alone = {0.4 * role * 1.5, 0};
    problem.rows.back().cells[1].alone = {0.1 * role, 0};
  }
  const Posterior posterior = posterior_of(problem);
  for (size_t r = 60; r < 80; ++r) {
    const double role = r % 2 ? 2 : 1;
    EXPECT_NEAR(posterior.cells[r][0].mean / (0.4 * role * 1.5), 1, 0.05) << r;
    EXPECT_NEAR(posterior.cells[r][1].mean / (0.1 * role), 1, 0.05) << r;
    EXPECT_LT(posterior.cells[r][0].deviation() / posterior.cells[r][0].mean, 0.12);
  }
}

// A difference beside the plan sets the distance to its reference and leaves the reference alone; a chain of them adds up.
TEST(RefinePosterior, DifferencesBesideThePlanReplaceDistances) {
  RefineProblem problem;
  problem.context_spread = 0.2;
  problem.rows = {{"a", 0, 1, {cell(T::kQ6_K, 3, 1), cell(T::kQ4_K, 2, 2), cell(T::kQ2_K, 1, 3)}}};
  std::vector<RefineCell>& cells = problem.rows[0].cells;
  for (RefineCell& one : cells) one.alone = {one.predicted.value, 0};
  cells[1].beside = RefineDifference{0, {1, 0}};
  cells[2].beside = RefineDifference{1, {1, 0.1}};
  const Posterior posterior = posterior_of(problem);
  const std::vector<PosteriorCell>& row = posterior.cells[0];
  EXPECT_NEAR(posterior.context, 1, kRounding);  // every difference is what the damages alone say
  EXPECT_LT(posterior.context_spread, 0.2);
  EXPECT_NEAR(row[0].mean, 1, kRounding);
  EXPECT_NEAR(row[1].mean, 2, kRounding);
  EXPECT_NEAR(row[2].mean, 3, kRounding);
  EXPECT_EQ(deviation_of_difference(row, 0, 1), 0);
  EXPECT_GT(deviation_of_difference(row, 2, 0), 0);
  EXPECT_LT(deviation_of_difference(row, 2, 0), 0.1);
  EXPECT_EQ(deviation_of_difference(row, 2, 0), deviation_of_difference(row, 2, 1));
  EXPECT_TRUE(is_measured_against(row, 2, 0));
  EXPECT_FALSE(is_measured_against(row, 0, 2));
  const auto drawn = draw_damages(posterior, 1, 2);
  EXPECT_NEAR(drawn[0][1] - drawn[0][0], 1, kRounding);  // known exactly, however uncertain both are
}

// Changes that cost twice as much together as alone: all that is known of single ones is scaled.
TEST(RefinePosterior, LearnsTheFactorOfContext) {
  RefineProblem problem;
  for (int r = 0; r < 50; ++r) {
    problem.rows.push_back({"r", 0, 1, {cell(T::kQ4_K, 2, 1), cell(T::kQ2_K, 1, 3)}});
    for (RefineCell& one : problem.rows.back().cells) one.alone = {one.predicted.value, 0};
    if (r < 40) problem.rows.back().cells[1].beside = RefineDifference{0, {4, 0}};
  }
  const Posterior posterior = posterior_of(problem);
  EXPECT_NEAR(posterior.context, (4 * 40 + 4 * 2) / (2.0 * 40 + 4 * 2), kRounding);
  EXPECT_NEAR(posterior.cells[45][1].mean, 3 * posterior.context, kRounding);
}

// Draws have the means and deviations that the posterior states, and those of a row move together as far as they share.
TEST(RefinePosterior, DrawsHaveTheStatedMoments) {
  Posterior posterior;
  posterior.cells = {{{10, 1, 0.5, {}}, {20, 0.3, 2, {}}, {25, 0.4, 0, 1}}};
  Moments first, second, product, difference;
  const uint64_t draws = 20000;
  for (uint64_t k = 0; k < draws; ++k) {
    const auto row = draw_damages(posterior, 3, k)[0];
    first.add(row[0]), second.add(row[1]), product.add((row[0] - 10) * (row[1] - 20)), difference.add(row[2] - row[1]);
  }
  const auto deviation = [](const Moments& m) { return std::sqrt(m.mean_square() - m.mean() * m.mean()); };
  EXPECT_NEAR(first.mean(), 10, 0.05);
  EXPECT_NEAR(deviation(first), std::hypot(1, 0.5), 0.03);
  EXPECT_NEAR(deviation(second), std::hypot(0.3, 2), 0.05);
  EXPECT_NEAR(product.mean(), 0.5 * 2, 0.1);
  EXPECT_NEAR(difference.mean(), 5, 0.02);
  EXPECT_NEAR(deviation(difference), 0.4, 0.02);
  // However badly known, a damage stays one, with the mean it has.
  posterior.cells[0][0] = {1, 1, 0, {}};
  Moments wide;
  for (uint64_t k = 0; k < draws; ++k) {
    wide.add(draw_damages(posterior, 3, k)[0][0]);
    ASSERT_GT(draw_damages(posterior, 3, k)[0][0], 0);
  }
  EXPECT_NEAR(wide.mean(), 1, 0.03);
  EXPECT_NEAR(deviation(wide), 1, 0.1);
  EXPECT_EQ(draw_damages(posterior, 3, 7), draw_damages(posterior, 3, 7));
  EXPECT_NE(draw_damages(posterior, 3, 7), draw_damages(posterior, 4, 7));
}

}  // namespace
}  // namespace assay
