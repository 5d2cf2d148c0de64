#include "assay/plan/refine_loop.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "assay/base/random.h"

namespace assay {
namespace {

using T = GgmlType;
constexpr T kTypes[] = {T::kQ2_K, T::kQ3_K, T::kQ4_K, T::kQ6_K};

// A table that is wrong by a factor per row and one per cell, and the truth.
struct Case {
  RefineProblem problem;
  std::vector<std::vector<double>> truth;
};
Case drawn_case(uint64_t seed, size_t rows) {
  Case made;
  CounterRandom random(seed, 9);
  for (size_t r = 0; r < rows; ++r) {
    RefineRow row{"r" + std::to_string(r), static_cast<int>(r % 3), 0.3 + 0.7 * random.next_uniform(), {}};
    const double size = std::exp(random.next_normal()), wrong = 0.3 * random.next_normal();
    made.truth.emplace_back();
    for (size_t c = 0; c < 4; ++c) {
      RefineCell cell;
      cell.type = kTypes[c];
      cell.bytes = 20 + 10 * c + random.next_below(5);
      cell.predicted.value = size * std::pow(0.25, c);
      made.truth[r].push_back(cell.predicted.value * std::exp(wrong + 0.2 * random.next_normal()));
      row.cells.push_back(cell);
    }
    made.problem.rows.push_back(row);
  }
  made.problem.budget = 35 * rows;
  return made;
}

// What an exact measurement says of a model whose damages add up.
RefineMeasure exact(const std::vector<std::vector<double>>& truth, std::map<std::pair<size_t, size_t>, int>* asked = nullptr) {
  return [&truth, asked](RefineWay way, const RowChoice& plan, std::span<const RefineTask> tasks) -> Result<std::vector<RefineMeasured>> {
    std::vector<RefineMeasured> values;
    for (const RefineTask& task : tasks) {
      if (asked) ++(*asked)[{task.row, task.cell}];
      const double own = truth[task.row][task.cell];
      values.push_back({way == RefineWay::kAlone ? own : own - truth[task.row][plan[task.row]], 0});
    }
    return values;
  };
}

double damage_of(const std::vector<std::vector<double>>& truth, const RowChoice& choice) {
  double sum = 0;
  for (size_t r = 0; r < choice.size(); ++r) sum += truth[r][choice[r]];
  return sum;
}

// With all it may ask for, and exact answers, the loop ends at the true optimum and knows it.
TEST(Refine, FindsTheOptimumOfTheTruth) {
  size_t wrong_at_first = 0;
  for (uint64_t seed = 0; seed < 6; ++seed) {
    Case drawn = drawn_case(seed, 24);
    drawn.problem.context_spread = 0;
    RefineOptions options;
    options.budget = 1e4;
    options.least_regret = 0;
    const auto best = solve_rows(drawn.problem, drawn.truth, 1'000'000);
    ASSERT_TRUE(best);
    std::map<std::pair<size_t, size_t>, int> asked;
    const auto outcome = refine(drawn.problem, options, exact(drawn.truth, &asked));
    ASSERT_TRUE(outcome) << outcome.error().message;
    EXPECT_NEAR(damage_of(drawn.truth, outcome->plan), best->damage, 1e-12);
    EXPECT_TRUE(outcome->settled);
    EXPECT_LT(outcome->after.high, 1e-9);
    EXPECT_LT(outcome->after.high, outcome->before.high);
    for (const auto& [cell, times] : asked) EXPECT_EQ(times, 1) << cell.first << " " << cell.second;
    wrong_at_first += damage_of(drawn.truth, outcome->start) > best->damage * (1 + 1e-9) ? 1 : 0;
  }
  EXPECT_GE(wrong_at_first, 5u);  // else there was nothing to find
}

// With the threshold at 1 % and changes that may act together, few cells are asked for and the plan is within the threshold.
TEST(Refine, StopsWhenItIsSettled) {
  for (uint64_t seed = 0; seed < 6; ++seed) {
    Case drawn = drawn_case(seed, 40);
    RefineOptions options;
    options.budget = 1000;
    options.round_share = 0.01;
    std::map<std::pair<size_t, size_t>, int> asked;
    const auto outcome = refine(drawn.problem, options, exact(drawn.truth, &asked));
    ASSERT_TRUE(outcome);
    const auto best = solve_rows(drawn.problem, drawn.truth, 1'000'000);
    EXPECT_TRUE(outcome->settled);
    EXPECT_LT(outcome->spent, 200);
    EXPECT_LT(asked.size(), 130u);  // of 160
    EXPECT_LT(damage_of(drawn.truth, outcome->plan) / best->damage - 1, 0.01);
    EXPECT_GT(damage_of(drawn.truth, outcome->start) / best->damage - 1, damage_of(drawn.truth, outcome->plan) / best->damage - 1);
  }
}

TEST(Refine, KeepsToItsBudget) {
  for (const double budget : {0.0, 1.0, 7.0, 20.0}) {
    Case drawn = drawn_case(3, 40);
    RefineOptions options;
    options.budget = budget;
    options.least_regret = 0;
    const auto outcome = refine(drawn.problem, options, exact(drawn.truth));
    ASSERT_TRUE(outcome);
    EXPECT_LE(outcome->spent, budget);
    EXPECT_EQ(outcome->spent > 0, budget > 2) << budget;
    EXPECT_FALSE(outcome->settled);
    if (budget < 2) {
      EXPECT_EQ(outcome->plan, outcome->start);
    }
  }
}

// Nothing is asked where nothing is open.
TEST(Refine, AsksNothingOfASettledTable) {
  Case drawn = drawn_case(4, 10);
  for (RefineRow& row : drawn.problem.rows) row.cells.resize(1);
  RefineOptions options;
  options.budget = 100;
  const auto outcome = refine(drawn.problem, options, [](auto, const auto&, auto) -> Result<std::vector<RefineMeasured>> {
    return fail(ErrorCode::kInternal, "asked");
  });
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_TRUE(outcome->settled);
  EXPECT_EQ(outcome->spent, 0);
}

TEST(Refine, TheSameAgain) {
  Case a = drawn_case(5, 30), b = drawn_case(5, 30);
  RefineOptions options;
  options.budget = 60;
  options.least_regret = 0;
  const auto first = refine(a.problem, options, exact(a.truth)), second = refine(b.problem, options, exact(b.truth));
  ASSERT_TRUE(first);
  ASSERT_TRUE(second);
  EXPECT_EQ(first->plan, second->plan);
  EXPECT_EQ(first->after.high, second->after.high);
  EXPECT_EQ(first->after.optima, second->after.optima);
}

}  // namespace
}  // namespace assay
