// Second orders along the step to a type: against differences of the loss itself, whole and by layer; budgets, units, types that do not
// fit.
#include <gtest/gtest.h>

#include <cmath>

#include "assay/score/path_scores.h"
#include "assay/score/second_order.h"
#include "tests/score/pass_case.h"

namespace assay {
namespace {

using namespace testing_path;

constexpr double kLossNoise = 2e-4;  // what float32 losses leave undecided of a second difference

// 1/2 d . H d from losses alone, extrapolated.
double second_difference(const QuantizationPath& path) {
  PathGradients spent;
  const auto loss = [&](double t) { return loss_at(path, t, spent)->loss; };
  const double at = loss(0);
  const auto difference = [&](double step) { return (loss(step) - 2 * at + loss(-step)) / (2 * step * step); };
  return (4 * difference(0.125) - difference(0.25)) / 3;
}

TEST(HessianStep, RowsAddUpToTheSecondOrderOfEverything) {
  PassCase model;
  const PassRows rows = model.rows(*hessian_step_score());
  ASSERT_EQ(rows.rows.size(), 3u * 7 + 2);
  EXPECT_DOUBLE_EQ(rows.forward_equivalents, 2.0 * 12 * 2);
  for (const GgmlType type : kSmallTypes) {
    const auto exact = second_order(model.path(type));
    ASSERT_TRUE(exact);
    double sum = 0;
    for (const SecondOrderRow& row : exact->matrices) {
      const ScoreCell* cell = cell_of(rows, row.tensor, type);
      ASSERT_NE(cell, nullptr) << row.tensor;
      EXPECT_DOUBLE_EQ(cell->value, row.term.second) << row.tensor;
      EXPECT_GT(cell->standard_error, 0);
      sum += row.term.second;
    }
    EXPECT_NEAR(sum_of(rows, type), sum, 1e-12);
  }
  // The coarse type's step is long enough for the loss to show it.
  const double whole = second_difference(model.path(GgmlType::kQ4_0));
  EXPECT_GT(std::fabs(whole), 1e-3);
  EXPECT_NEAR(sum_of(rows, GgmlType::kQ4_0), whole, 0.03 * std::fabs(whole) + kLossNoise);
}

TEST(HessianLayer, EqualsTheLossOfThatLayerAlone) {
  PassCase model;
  model.types = {GgmlType::kQ4_0};
  const PassRows rows = model.rows(*hessian_layer_score());
  ASSERT_EQ(rows.rows.size(), 3u + 2);  // embedding and head stand alone
  EXPECT_DOUBLE_EQ(rows.forward_equivalents, 5.0 * 12 * 2);
  for (int layer = 0; layer < 3; ++layer) {
    const ScoreCell* cell = cell_of(rows, "blk." + std::to_string(layer), GgmlType::kQ4_0);
    ASSERT_NE(cell, nullptr);
    const double alone = second_difference(model.path(GgmlType::kQ4_0, layer));
    EXPECT_NEAR(cell->value, alone, 0.03 * std::fabs(alone) + kLossNoise) << layer;
  }
  EXPECT_NE(cell_of(rows, "token_embd.weight", GgmlType::kQ4_0), nullptr);
  EXPECT_NE(cell_of(rows, "output.weight", GgmlType::kQ4_0), nullptr);
  // Without the products between layers the sum is another one.
  const PassRows joint = model.rows(*hessian_step_score());
  EXPECT_GT(std::fabs(sum_of(joint, GgmlType::kQ4_0) - sum_of(rows, GgmlType::kQ4_0)), 1e-4);
}

TEST(HessianStep, LeavesAsTheyAreWhatCannotHoldTheType) {
  PassCase model;
  model.types = {GgmlType::kQ4_K, GgmlType::kQ8_0};
  EXPECT_DOUBLE_EQ(model.estimate(*hessian_step_score()), 12 * 2);  // Q4_K fits nothing
  const PassRows rows = model.rows(*hessian_step_score());
  EXPECT_EQ(cell_of(rows, "blk.1.ffn_down.weight", GgmlType::kQ8_0), nullptr);
  EXPECT_EQ(cell_of(rows, "blk.1.attn_q.weight", GgmlType::kQ4_K), nullptr);
  EXPECT_NE(cell_of(rows, "blk.1.attn_q.weight", GgmlType::kQ8_0), nullptr);
  EXPECT_TRUE(has_note(rows, "Q8_0: cannot hold blk.0.ffn_down.weight"));
}

// A tied embedding is one matrix at both ends.
TEST(HessianStep, TakesATiedEmbeddingAtBothEnds) {
  PassCase model(true);
  model.types = {GgmlType::kQ4_0};
  const PassRows rows = model.rows(*hessian_step_score());
  ASSERT_EQ(rows.rows.size(), 3u * 7 + 1);
  const double whole = second_difference(model.path(GgmlType::kQ4_0));
  EXPECT_NEAR(sum_of(rows, GgmlType::kQ4_0), whole, 0.03 * std::fabs(whole) + kLossNoise);
  const PassRows layers = model.rows(*hessian_layer_score());
  const double ends = second_difference(model.path(GgmlType::kQ4_0, -1));
  EXPECT_NEAR(cell_of(layers, "token_embd.weight", GgmlType::kQ4_0)->value, ends, 0.03 * std::fabs(ends) + kLossNoise);
}

TEST(HessianStep, SaysWhatItTakesAndIsRepeatable) {
  PassCase model;
  EXPECT_DOUBLE_EQ(model.estimate(*hessian_step_score()), 2 * 12 * 2);
  EXPECT_DOUBLE_EQ(model.estimate(*hessian_layer_score()), 5 * 2 * 12 * 2);
  model.rows(*hessian_step_score());
  EXPECT_EQ(model.units.kept, 8u);  // a killed run loses one gradient
  EXPECT_DOUBLE_EQ(model.estimate(*hessian_step_score()), 2 * 12 * 2);
  model.units_are_at_hand = true;
  EXPECT_DOUBLE_EQ(model.estimate(*hessian_step_score()), 0);
  expect_repeatable(hessian_step_score());
  expect_repeatable(hessian_layer_score());
}

}  // namespace
}  // namespace assay
