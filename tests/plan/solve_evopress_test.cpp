#include "assay/plan/solve_evopress.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace assay {
namespace {

// Rows of one size and five types.
EvoPressProblem equal_rows(size_t rows) {
  EvoPressProblem problem;
  for (size_t r = 0; r < rows; ++r) {
    problem.bytes.push_back({20, 30, 40, 50, 60});
    problem.bits.push_back({2, 3, 4, 5, 6});
  }
  problem.budget = 40 * rows;
  return problem;
}

// Sizes of many kinds.
EvoPressProblem unequal_rows(size_t rows) {
  EvoPressProblem problem = equal_rows(rows);
  problem.budget = 0;
  for (size_t r = 0; r < rows; ++r) {
    for (uint64_t& bytes : problem.bytes[r]) bytes = bytes * (1 + r % 4) + (r % 3) * bytes / 7;
    problem.budget += problem.bytes[r][2] + 3;
  }
  return problem;
}

double known_objective(const EvoPressRecipe& recipe) {
  double sum = 0;
  for (size_t r = 0; r < recipe.size(); ++r) sum += std::exp(static_cast<double>(r % 7)) * std::pow(0.25, recipe[r]);
  return sum;
}

TEST(EvoPress, SwapsKeepTheBytesExactlyWhereSizesAreEqual) {
  const EvoPressProblem problem = equal_rows(20);
  const auto start = evopress_start(problem, 1);
  ASSERT_TRUE(start);
  EXPECT_EQ(*start, EvoPressRecipe(20, 2));  // one type for all, the largest that fits
  EvoPressRecipe recipe = *start;
  CounterRandom random(7, 0);
  for (int i = 0; i < 1000; ++i) {
    const EvoPressRecipe before = recipe;
    ASSERT_TRUE(swap_types(problem, random, recipe));
    ASSERT_EQ(bytes_of(problem, recipe), problem.budget);
    size_t changed = 0;
    for (size_t r = 0; r < recipe.size(); ++r) changed += recipe[r] != before[r] ? 1 : 0;
    ASSERT_EQ(changed, 2u);
  }
}

TEST(EvoPress, SwapsNeverLeaveTheBudgetWhereSizesDiffer) {
  const EvoPressProblem problem = unequal_rows(23);
  auto recipe = evopress_start(problem, 1);
  ASSERT_TRUE(recipe);
  EXPECT_GT(bytes_of(problem, *recipe), problem.budget * 95 / 100);  // filled up
  CounterRandom random(7, 0);
  for (int i = 0; i < 2000; ++i) {
    ASSERT_TRUE(swap_types(problem, random, *recipe));
    ASSERT_LE(bytes_of(problem, *recipe), problem.budget);
  }
  EvoPressProblem tiny = problem;
  tiny.budget = 10;
  EXPECT_EQ(evopress_start(tiny, 1).error().code, ErrorCode::kUsage);
  EvoPressRecipe all(1, 0);
  EXPECT_FALSE(swap_types({{{1}}, {{2}}, 10}, random, all));
}

TEST(EvoPress, ImprovesAKnownObjectiveAndRepeats) {
  const EvoPressProblem problem = equal_rows(14);
  EvoPressOptions options;
  options.generations = 30;
  std::vector<std::pair<size_t, uint64_t>> calls;
  const EvoPressFitness fitness = [&](std::span<const EvoPressRecipe> recipes, uint64_t tokens, uint64_t) -> Result<std::vector<double>> {
    calls.emplace_back(recipes.size(), tokens);
    std::vector<double> values;
    for (const EvoPressRecipe& recipe : recipes) {
      EXPECT_EQ(bytes_of(problem, recipe), problem.budget);
      values.push_back(known_objective(recipe));
    }
    return values;
  };
  const auto first = solve_evopress(problem, options, fitness);
  ASSERT_TRUE(first) << first.error().message;
  const double start = known_objective(EvoPressRecipe(14, 2)), found = known_objective(first->recipe);
  EXPECT_LT(found, 0.6 * start);
  EXPECT_TRUE(std::is_sorted(first->fitness.rbegin(), first->fitness.rend()));  // the parent stays unless it is beaten
  EXPECT_EQ(first->fitness.size(), 30u);
  EXPECT_LE(calls[0].first, 128u);
  EXPECT_EQ(calls[0].second, 2048u);
  EXPECT_EQ(calls[1], (std::pair<size_t, uint64_t>(16, 16384)));
  EXPECT_EQ(calls[2], (std::pair<size_t, uint64_t>(5, 131072)));  // and the parent
  const auto second = solve_evopress(problem, options, fitness);
  EXPECT_EQ(second->recipe, first->recipe);
  options.seed = 1;
  EXPECT_NE(solve_evopress(problem, options, fitness)->fitness, first->fitness);
}

TEST(EvoPress, RefusesRoundsThatDoNotMatch) {
  EvoPressOptions options;
  options.survivors = {16, 4};
  const auto refused = solve_evopress(equal_rows(3), options, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
}

}  // namespace
}  // namespace assay
