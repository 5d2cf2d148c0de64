#include "assay/plan/refine_choice.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "assay/base/random.h"

namespace assay {
namespace {

using T = GgmlType;

TEST(KnowledgeGradient, ByHand) {
  EXPECT_NEAR(knowledge_gradient(0, 2), 2 / std::sqrt(2 * M_PI), 1e-15);
  // f(-1) = phi(1) - Phi(-1) = 0.24197072 - 0.15865525
  EXPECT_NEAR(knowledge_gradient(3, 3), 3 * 0.08331547, 1e-7);
  EXPECT_EQ(knowledge_gradient(3, 3), knowledge_gradient(-3, 3));
  EXPECT_EQ(knowledge_gradient(1, 0), 0);
  EXPECT_EQ(knowledge_gradient(INFINITY, 1), 0);
  EXPECT_LT(knowledge_gradient(10, 1), 1e-20);
}

// The mean gain of choosing the lesser of two after one of them moved by a normal step.
TEST(KnowledgeGradient, IsWhatChoosingAgainGains) {
  CounterRandom random(5, 0);
  for (const double gap : {0.0, 0.4, -1.0, 2.0}) {
    const double step = 0.8;
    double gain = 0;
    const int draws = 200'000;
    for (int i = 0; i < draws; ++i) gain += std::min(0.0, gap) - std::min(0.0, gap + step * random.next_normal());
    EXPECT_NEAR(gain / draws, knowledge_gradient(gap, step), 0.006) << gap;
  }
}

RefineProblem two_types(size_t rows) {
  RefineProblem problem;
  for (size_t r = 0; r < rows; ++r) {
    RefineRow row{"r" + std::to_string(r), 0, 1, {}};
    row.cells.resize(2);
    row.cells[0] = {T::kQ2_K, 1, {2, 0}, false, {}, {}};
    row.cells[1] = {T::kQ4_K, 2, {1, 0}, false, {}, {}};
    problem.rows.push_back(row);
  }
  problem.budget = rows + rows / 2;
  return problem;
}

TEST(Regret, IsNothingWhereAllIsKnown) {
  const RefineProblem problem = two_types(6);
  Posterior posterior;
  for (size_t r = 0; r < 6; ++r) posterior.cells.push_back({{2.0 + 0.1 * static_cast<double>(r), 0, 0, {}}, {1, 0, 0, {}}});
  const auto plan = solve_rows(problem, means_of(posterior), 1000);
  ASSERT_TRUE(plan);
  const auto regret = regret_of(problem, posterior, plan->choice, 16, 1);
  ASSERT_TRUE(regret);
  EXPECT_EQ(regret->high, 0);
  EXPECT_TRUE(regret->optima.empty());
}

// Two rows, one upgrade to buy, both worth 1 +- 1: the mean regret of either is E max(0, difference of two normals) = 2 / sqrt(2 pi) /
// sqrt(2).
TEST(Regret, IsTheValueOfKnowing) {
  const RefineProblem problem = two_types(2);
  Posterior posterior;
  posterior.cells = {{{20, 1, 0, {}}, {19, 0, 0, {}}}, {{20, 1, 0, {}}, {19, 0, 0, {}}}};
  const auto regret = regret_of(problem, posterior, {1, 0}, 4000, 1);
  ASSERT_TRUE(regret);
  EXPECT_NEAR(regret->mean, std::sqrt(2) / std::sqrt(2 * M_PI), 0.03);
  EXPECT_NEAR(regret->high, 1.645 * std::sqrt(2), 0.15);  // the 95 % quantile of N(0, 2) above 0
  ASSERT_FALSE(regret->optima.empty());
  EXPECT_EQ(regret->optima[0], (RowChoice{0, 1}));
}

TEST(NextBatch, MeasuresWhatIsOpenAndNothingThatIsSettled) {
  const RefineProblem problem = two_types(3);
  Posterior posterior;
  posterior.cells = {{{2, 0.1, 0, {}}, {1, 0.1, 0, {}}}, {{1.3, 0.1, 0, {}}, {1, 0.1, 0, {}}}, {{1.01, 0.1, 0, {}}, {1, 0.1, 0, {}}}};
  BatchOptions options;
  options.most_cost = 100;
  options.least_value = 1e-6;
  // At a price of 0.25 per byte: row 0 is settled by 0.75, row 1 open by 0.05, row 2 by 0.24.
  const RefineBatch batch = next_batch(problem, posterior, {1, 1, 0}, 0.25, options);
  ASSERT_FALSE(batch.tasks.empty());
  EXPECT_EQ(batch.tasks[0].row, 1u);
  for (const RefineTask& task : batch.tasks) EXPECT_NE(task.row, 0u);
  // What costs more comes later.
  RefineProblem dear = problem;
  dear.rows[1].cost = 50;
  EXPECT_EQ(next_batch(dear, posterior, {1, 1, 0}, 0.25, options).tasks[0].row, 2u);
  options.most_cost = 1.5;
  EXPECT_TRUE(next_batch(problem, posterior, {1, 1, 0}, 0.25, options).tasks.empty());
}

// Alone first; beside the plan once alone cannot tell more; and only against the plan's own type.
TEST(NextBatch, GoesBesideThePlanOnceAloneIsKnown) {
  RefineProblem problem = two_types(4);
  problem.budget = 6;
  BatchOptions options;
  options.most_cost = 100;
  EXPECT_EQ(next_batch(problem, posterior_of(problem), {0, 0, 1, 1}, 1, options).way, RefineWay::kAlone);
  for (RefineRow& row : problem.rows)
    for (RefineCell& cell : row.cells) cell.alone = cell.predicted;
  const RefineBatch batch = next_batch(problem, posterior_of(problem), {0, 0, 1, 1}, 1, options);
  EXPECT_EQ(batch.way, RefineWay::kBeside);
  ASSERT_EQ(batch.tasks.size(), 4u);
  EXPECT_EQ(batch.cost, 2 + 4);
  for (const RefineTask& task : batch.tasks) EXPECT_EQ(task.cell, task.row < 2 ? 1u : 0u);
}

}  // namespace
}  // namespace assay
