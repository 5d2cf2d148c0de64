#include "assay/plan/interaction_objective.h"

#include <gtest/gtest.h>

#include "tests/plan/interaction_problem.h"

namespace assay {
namespace {

constexpr double kRounding = 1e-12;  // of sums of a few hundred doubles

// Two groups of one item: damages 1 and 2, terms (1, 2) and (3, -1): 1 + 2 + (3 - 2) = 4.
TEST(InteractionObjective, ByHand) {
  InteractionObjective objective(2);
  const std::vector<float> a = {1, 2}, b = {3, -1};
  objective.add_group(1);
  objective.add_member(0, 1, a);
  objective.add_group(2);
  objective.add_member(0, 2, b);
  objective.add_member(1, 5, {});
  const std::vector<size_t> both = {0, 0}, without = {0, 1};
  EXPECT_DOUBLE_EQ(objective.damage(both), 4);
  EXPECT_DOUBLE_EQ(objective.separable(both), 3);
  EXPECT_DOUBLE_EQ(objective.damage(without), 6);
  EXPECT_DOUBLE_EQ(objective.own(1, 0), 2 - 5);
  const InteractionChoice choice(objective, both);
  EXPECT_DOUBLE_EQ(choice.change(1, 1), 2);
}

// A member more of a group acts on the others as a group of its own would, and so does what is fixed.
TEST(InteractionObjective, MembersAndWhatIsFixed) {
  const std::vector<float> a = {1, 2, 0}, b = {3, -1, 1}, c = {0.5, 0, -2};
  InteractionObjective apart(3), together(3), fixed(3);
  double damage = 1;
  for (const auto* terms : {&a, &b, &c}) {
    apart.add_group(1);
    apart.add_member(0, damage++, *terms);
  }
  together.add_group(1);
  together.add_member(0, 1, a);
  together.add_member(0, 2, b);
  together.add_group(1);
  together.add_member(0, 3, c);
  fixed.add_fixed(1, a);
  fixed.add_fixed(3, c);
  fixed.add_group(1);
  fixed.add_member(0, 2, b);
  const double expected = apart.damage(std::vector<size_t>(3, 0));
  EXPECT_NEAR(expected, 6 + 1 + 0.5 - 0.5, kRounding);
  EXPECT_NEAR(together.damage(std::vector<size_t>(2, 0)), expected, kRounding);
  EXPECT_NEAR(fixed.damage(std::vector<size_t>(1, 0)), expected, kRounding);
  EXPECT_NEAR(together.alone(0, 0), 1 + 2 + 1, kRounding);
}

TEST(InteractionObjective, IsTheDefinitionAndChangesAreDifferences) {
  for (const size_t terms : {1, 7, 31, 100, 257}) {
    const auto problem = interaction_problem::make({.groups = 6, .items = 3, .terms = terms}, terms);
    const InteractionObjective& objective = problem.objective;
    CounterRandom random(terms, 9);
    InteractionChoice state(objective, std::vector<size_t>(6, 0));
    for (int n = 0; n < 50; ++n) {
      const std::vector<size_t> before = state.choice();
      const double damage = objective.damage(before), close = kRounding * (1 + damage);
      EXPECT_NEAR(damage, interaction_problem::by_definition(problem, before), 10 * close);
      const size_t g = random.next_below(6), i = random.next_below(3), h = (g + 1 + random.next_below(5)) % 6, j = random.next_below(3);
      std::vector<size_t> one = before, other = before;
      one[g] = i;
      other[h] = j;
      std::vector<size_t> both = one;
      both[h] = j;
      EXPECT_NEAR(state.change(g, i), objective.damage(one) - damage, 100 * close);
      EXPECT_NEAR(state.change(g, i) + state.change(h, j) + state.cross(g, i, h, j), objective.damage(both) - damage, 100 * close);
      std::vector<double> changes(3);
      state.changes(g, state.products_with_own(g), changes);
      EXPECT_EQ(changes[i], state.change(g, i));
      state.move(g, i);
      EXPECT_EQ(state.choice(), one);
    }
  }
}

TEST(InteractionObjective, ProductsDoNotDependOnThreads) {
  const auto problem = interaction_problem::make({.groups = 20, .items = 5, .terms = 333}, 3);
  const std::vector<double> y = problem.objective.sum(std::vector<size_t>(20, 2));
  const std::vector<double> one = problem.objective.products(y, 1);
  EXPECT_EQ(one, problem.objective.products(y, 2));
  EXPECT_EQ(one[5 * 5 + 3], dot(problem.objective.terms_of(5, 3), y));
}

}  // namespace
}  // namespace assay
