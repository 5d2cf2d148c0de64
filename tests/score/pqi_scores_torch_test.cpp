// PQI as scores: the integral's own rows, one integral for all four forms, as many intervals as the budget allows.
#include <gtest/gtest.h>

#include <cmath>

#include "assay/score/path_scores.h"
#include "assay/score/pqi.h"
#include "tests/score/map_weight_sink.h"
#include "tests/score/pass_case.h"

namespace assay {
namespace {

using namespace testing_path;

constexpr PqiForm kForms[] = {PqiForm::kSigned, PqiForm::kTotal, PqiForm::kPerStep, PqiForm::kPerSequence};

TEST(PqiScores, AreTheRowsOfOneIntegral) {
  PassCase model;
  model.types = {GgmlType::kQ4_0};
  const auto exact = pqi(model.path(GgmlType::kQ4_0), {PathRule::kMidpoint, 32, false});
  ASSERT_TRUE(exact) << exact.error().message;
  constexpr double PqiValue::* kValues[] = {&PqiValue::contribution, &PqiValue::abs_total, &PqiValue::abs_per_step,
                                            &PqiValue::abs_per_sequence};
  for (size_t f = 0; f < std::size(kForms); ++f) {
    const PassRows rows = model.rows(*pqi_score(kForms[f]));
    for (const PqiRow& row : exact->matrices)
      EXPECT_DOUBLE_EQ(cell_of(rows, row.name, GgmlType::kQ4_0)->value, row.value.*kValues[f]) << row.name;
    EXPECT_TRUE(has_note(rows, "closure error")) << f;
    EXPECT_TRUE(has_note(rows, "cannot hold")) << f;
    EXPECT_DOUBLE_EQ(rows.forward_equivalents, (32 * 3 + 2) * 2);
  }
  EXPECT_EQ(model.units.kept, 1u);  // the first one's
  // The signed one adds up to the change of the loss.
  PathGradients spent;
  const QuantizationPath path = model.path(GgmlType::kQ4_0);
  const double change = loss_at(path, 1, spent)->loss - loss_at(path, 0, spent)->loss;
  EXPECT_GT(std::fabs(change), 1e-3);
  EXPECT_NEAR(sum_of(model.rows(*pqi_score(PqiForm::kSigned)), GgmlType::kQ4_0), change, 2e-3 * std::fabs(change) + 2e-6);
}

// Of the sum over the path and of its sizes; the c_i are float32 and added up step by step.
TEST(PqiScores, GiveContributionsOfSingleWeights) {
  constexpr double kFloat = 1e-5;
  PassCase model;
  model.budget = 2 * 2 * (4 * 3 + 2);
  PassRun run = model.run();
  testing_weights::MapWeightSink sink;
  int anew = 0;
  run.weights = &sink;
  run.unit_anew = [&](const std::string& name, const std::function<Result<std::string>()>& make) {
    ++anew;
    return make_anew(model.units, name, make);
  };
  run.at_hand = [](const std::string&) { return true; };
  for (const PqiForm form : {PqiForm::kTotal, PqiForm::kSigned}) {
    const auto score = pqi_score(form);
    const auto& pass = dynamic_cast<const PassScore&>(*score);
    EXPECT_TRUE(score->has_weight_values());
    EXPECT_DOUBLE_EQ(pass.estimate(run), model.budget);  // what is at hand is no help
    const auto rows = pass.rows(run);
    ASSERT_TRUE(rows) << rows.error().message;
    for (const ScoreRow& row : rows->rows)
      for (const ScoreCell& cell : row.cells) {
        const auto [sum, sizes] = sink.sums({std::string(score->info().name), cell.type, row.name});
        EXPECT_GT(sizes, 0) << row.name;
        EXPECT_NEAR(sum, cell.value, kFloat * sizes) << row.name;
      }
  }
  EXPECT_EQ(anew, 2 * 2);
  sink.check();
  EXPECT_FALSE(pqi_score(PqiForm::kPerStep)->has_weight_values());
  EXPECT_FALSE(pqi_score(PqiForm::kPerSequence)->has_weight_values());
}

TEST(PqiScores, TakeFewerIntervalsForASmallBudget) {
  PassCase model;
  const auto score = pqi_score(PqiForm::kTotal), next = pqi_score(PqiForm::kSigned);
  EXPECT_DOUBLE_EQ(model.estimate(*score), 2 * 2 * (32 * 3 + 2));
  model.budget = 2 * 2 * (10 * 3 + 2) + 5;
  EXPECT_DOUBLE_EQ(model.estimate(*score), 2 * 2 * (10 * 3 + 2));
  const PassRows rows = model.rows(*score);
  EXPECT_TRUE(has_note(rows, "10 intervals instead of 32"));
  EXPECT_TRUE(has_note(rows, "N = 10"));
  // The next one of the run finds the integral, though the budget is spent.
  model.budget -= model.estimate(*score);
  EXPECT_DOUBLE_EQ(model.estimate(*next), 2 * 2 * (4 * 3 + 2));
  model.units_are_at_hand = true;
  EXPECT_DOUBLE_EQ(model.estimate(*next), 0);
  EXPECT_TRUE(has_note(model.rows(*next), "N = 10"));
  EXPECT_EQ(model.units.kept, 2u);
  // Below four intervals it asks for more than there is.
  model.units_are_at_hand = false;
  model.budget = 10;
  EXPECT_GT(model.estimate(*score), model.budget);
}

TEST(PqiScores, TakeATiedEmbeddingAtBothEnds) {
  PassCase model(true);
  model.types = {GgmlType::kQ4_0};
  model.budget = 2 * (8 * 3 + 2);
  const PassRows rows = model.rows(*pqi_score(PqiForm::kSigned));
  PathGradients spent;
  const QuantizationPath path = model.path(GgmlType::kQ4_0);
  const double change = loss_at(path, 1, spent)->loss - loss_at(path, 0, spent)->loss;
  EXPECT_NEAR(sum_of(rows, GgmlType::kQ4_0), change, 0.01 * std::fabs(change) + 2e-6);
}

TEST(PqiScores, AreRepeatable) { expect_repeatable(pqi_score(PqiForm::kPerStep)); }

}  // namespace
}  // namespace assay
