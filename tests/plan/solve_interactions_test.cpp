#include "assay/plan/solve_interactions.h"

#include <gtest/gtest.h>

#include <cmath>

#include "assay/plan/interaction_search.h"
#include "tests/plan/interaction_problem.h"

namespace assay {
namespace {

using interaction_problem::Problem;
using interaction_problem::Shape;

constexpr double kRounding = 1e-9;

struct Best {
  double damage = INFINITY, separable = INFINITY, with_interactions = INFINITY;  // the last: of the separable optimum
};
Best best_of(const Problem& problem) {
  Best best;
  interaction_problem::each_choice(problem, [&](const std::vector<size_t>& choice) {
    const double damage = problem.objective.damage(choice), separable = problem.objective.separable(choice);
    best.damage = std::min(best.damage, damage);
    if (separable < best.separable) best.separable = separable, best.with_interactions = damage;
  });
  return best;
}

// Bound <= optimum <= answer <= what the separable optimum has, over many problems of every kind; and the answer mostly is the optimum.
TEST(SolveInteractions, AgainstAllChoices) {
  int problems = 0, optimal = 0, interactions_matter = 0;
  double worst = 0;
  for (const double common : {0.0, 0.3, 1.0, -0.7})
    for (const double share : {0.1, 0.4, 0.8})
      for (uint64_t seed = 0; seed < 20; ++seed) {
        const Problem problem = interaction_problem::make({.groups = 6, .items = 4, .terms = 24, .common = common, .share = share}, seed);
        const Best best = best_of(problem);
        const auto found = solve_interactions(problem.objective, problem.bytes, problem.budget);
        ASSERT_TRUE(found) << found.error().message;
        const double close = kRounding * best.damage;
        EXPECT_EQ(found->bytes, interaction_problem::bytes_of(problem, found->choice));
        EXPECT_LE(found->bytes, problem.budget);
        EXPECT_NEAR(found->damage, interaction_problem::by_definition(problem, found->choice), close);
        EXPECT_GE(found->damage, best.damage - close);
        EXPECT_LE(found->damage, best.with_interactions + close);
        EXPECT_NEAR(found->separable_damage, best.with_interactions, close);
        EXPECT_NEAR(found->separable, problem.objective.separable(found->choice), close);
        EXPECT_LE(found->bound, best.damage + close) << "seed " << seed << ", common " << common;
        EXPECT_TRUE(found->all_pairs);
        ++problems;
        optimal += found->damage <= best.damage + close;
        interactions_matter += best.with_interactions > best.damage + close;
        worst = std::max(worst, found->damage / best.damage - 1);
      }
  EXPECT_GE(optimal, problems * 95 / 100) << worst;
  EXPECT_LT(worst, 0.02);
  EXPECT_GE(interactions_matter, problems / 2);  // else the test shows little
}

// Where terms are all zero the problem is the knapsack, and the bound meets it.
TEST(SolveInteractions, WithoutTermsIsTheKnapsack) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    Problem problem = interaction_problem::make({}, seed);
    problem.objective = InteractionObjective(3);
    for (const auto& group : problem.alone) {
      problem.objective.add_group(group.size());
      for (size_t i = 0; i < group.size(); ++i) problem.objective.add_member(i, group[i], {});
    }
    const auto found = solve_interactions(problem.objective, problem.bytes, problem.budget);
    ASSERT_TRUE(found);
    const double best = best_of(problem).damage;
    EXPECT_NEAR(found->damage, best, kRounding * best);
    EXPECT_NEAR(found->bound, best, kRounding * best);
    EXPECT_EQ(found->damage, found->separable);
  }
}

// With one type of each group that matters, nothing can be mixed and the bound is tight: two groups whose errors cancel.
TEST(SolveInteractions, SeesErrorsThatCancel) {
  const std::vector<float> up = {1, 1}, down = {-1, -1};
  InteractionObjective objective(2);
  for (const auto* terms : {&up, &down, &up}) {
    objective.add_group(2);
    objective.add_member(0, 1, *terms);
    objective.add_member(1, 0, {});
  }
  // Two of three may shrink: of the same damages alone, those that cancel do.
  const auto found = solve_interactions(objective, {{1, 2}, {1, 2}, {1, 2}}, 4);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->choice[1], 0u);
  EXPECT_EQ(found->choice[0] + found->choice[2], 1u);
  EXPECT_NEAR(found->damage, 0, 1e-12);
  EXPECT_EQ(found->separable, 2);
  EXPECT_LE(found->bound, 1e-9);
}

TEST(SolveInteractions, WhatIsFixedCounts) {
  const std::vector<float> up = {2, 0}, down = {-2, 0};
  InteractionObjective objective(2);
  objective.add_fixed(2, down);
  objective.add_group(2);
  objective.add_member(0, 2, up);
  objective.add_member(1, 0.5, {});
  const auto found = solve_interactions(objective, {{1, 2}}, 2);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->choice[0], 0u);  // alone it has 2, beside the fixed one it takes the damage away
  EXPECT_NEAR(found->damage, 0, 1e-12);
  EXPECT_NEAR(found->separable_damage, 2.5, 1e-12);
}

// The local search ends where no change and no pair within the budget helps, by the definition.
TEST(SolveInteractions, EndsInALocalOptimum) {
  for (uint64_t seed = 0; seed < 8; ++seed) {
    const Problem problem = interaction_problem::make({.groups = 12, .items = 4, .terms = 40, .common = 0.4}, seed);
    const InteractionOptions options;
    const InteractionSearch found =
        search_interactions(problem.objective, problem.bytes, problem.budget, std::vector<size_t>(12, 0), options);
    ASSERT_TRUE(found.all_pairs);
    EXPECT_GT(found.moves, 0u);
    const double close = kRounding * found.damage;
    EXPECT_NEAR(found.damage, interaction_problem::by_definition(problem, found.choice), close);
    for (size_t g = 0; g < 12; ++g)
      for (size_t i = 0; i < 4; ++i)
        for (size_t h = g; h < 12; ++h)
          for (size_t j = 0; j < 4; ++j) {
            std::vector<size_t> other = found.choice;
            other[g] = i;
            other[h] = j;  // h == g: one change
            if (interaction_problem::bytes_of(problem, other) > problem.budget) continue;
            EXPECT_GE(problem.objective.damage(other), found.damage - close);
          }
  }
}

// With partners alone it is still no worse than its start, keeps to the budget and says that not all pairs were examined.
TEST(SolveInteractions, PartnersOfLargeProblems) {
  const Problem problem = interaction_problem::make({.groups = 60, .items = 6, .terms = 200, .common = 0.1}, 4);
  InteractionOptions options;
  const auto all = solve_interactions(problem.objective, problem.bytes, problem.budget, options);
  options.all_pairs = 0;
  const auto some = solve_interactions(problem.objective, problem.bytes, problem.budget, options);
  ASSERT_TRUE(all && some);
  EXPECT_TRUE(all->all_pairs);
  EXPECT_FALSE(some->all_pairs);
  EXPECT_LE(some->damage, some->separable_damage);
  EXPECT_LE(some->bytes, problem.budget);
  EXPECT_LT(some->damage, all->damage * 1.02);
  EXPECT_LT(some->evaluations, all->evaluations);
}

TEST(SolveInteractions, IsAPureFunctionOfItsInput) {
  const Problem problem = interaction_problem::make({.groups = 30, .items = 5, .terms = 100}, 1);
  InteractionOptions options;
  options.threads = 1;
  const auto one = solve_interactions(problem.objective, problem.bytes, problem.budget, options);
  options.threads = 2;
  const auto two = solve_interactions(problem.objective, problem.bytes, problem.budget, options);
  ASSERT_TRUE(one && two);
  EXPECT_EQ(one->choice, two->choice);
  EXPECT_EQ(one->damage, two->damage);
  EXPECT_EQ(one->bound, two->bound);
  EXPECT_EQ(one->evaluations, two->evaluations);
}

TEST(SolveInteractions, RefusesABudgetThatNothingFits) {
  const Problem problem = interaction_problem::make({}, 1);
  EXPECT_EQ(solve_interactions(problem.objective, problem.bytes, 3).error().code, ErrorCode::kUsage);
}

}  // namespace
}  // namespace assay
