#include "assay/plan/knapsack.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <iostream>
#include <limits>

#include "assay/base/random.h"

namespace assay {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Sums of a few damages in another order: a handful of roundings.
constexpr double kRounding = 1e-12;

std::vector<KnapsackGroup> random_groups(CounterRandom& random, size_t most_groups, size_t most_items, uint64_t most_bytes) {
  std::vector<KnapsackGroup> groups(1 + random.next_below(most_groups));
  for (KnapsackGroup& group : groups) {
    group.resize(1 + random.next_below(most_items));
    for (KnapsackItem& item : group) {
      item.bytes = random.next_below(most_bytes);
      // A third of the damages on a coarse grid, so that ties and dominated items occur.
      item.damage = random.next_below(3) == 0 ? static_cast<double>(random.next_below(4)) : random.next_uniform();
    }
  }
  return groups;
}

// Least damage over all choices within the budget; infinite if none.
double brute_force(const std::vector<KnapsackGroup>& groups, uint64_t budget, size_t g = 0, uint64_t bytes = 0, double damage = 0) {
  if (bytes > budget) return std::numeric_limits<double>::infinity();
  if (g == groups.size()) return damage;
  double least = std::numeric_limits<double>::infinity();
  for (const KnapsackItem& item : groups[g])
    least = std::min(least, brute_force(groups, budget, g + 1, bytes + item.bytes, damage + item.damage));
  return least;
}

uint64_t extreme_bytes(const std::vector<KnapsackGroup>& groups, bool largest) {
  uint64_t sum = 0;
  for (const KnapsackGroup& group : groups) {
    uint64_t value = group[0].bytes;
    for (const KnapsackItem& item : group) value = largest ? std::max(value, item.bytes) : std::min(value, item.bytes);
    sum += value;
  }
  return sum;
}

void expect_consistent(const std::vector<KnapsackGroup>& groups, uint64_t budget, const KnapsackSolution& solution) {
  ASSERT_EQ(solution.choice.size(), groups.size());
  uint64_t bytes = 0;
  double damage = 0;
  for (size_t g = 0; g < groups.size(); ++g) {
    ASSERT_LT(solution.choice[g], groups[g].size());
    bytes += groups[g][solution.choice[g]].bytes;
    damage += groups[g][solution.choice[g]].damage;
  }
  EXPECT_EQ(solution.bytes, bytes);
  EXPECT_LE(bytes, budget);
  EXPECT_NEAR(solution.damage, damage, kRounding);
  EXPECT_LE(solution.bound, solution.damage);
  EXPECT_LE(solution.relaxed, solution.bound);
  EXPECT_GE(solution.lambda, 0);
}

TEST(Knapsack, HandComputed) {
  // Two tensors; with 7 bytes: {2, 5} gives 3 + 1 = 4, {4, 3} gives 1 + 4 = 5. Hulls: A 2->4 saves 1 per byte, B 3->5 saves 1.5.
  // Climb: B first (5 + 2 = 7 bytes, damage 4), nothing is left for A: relaxed optimum 4, lambda 1.
  const std::vector<KnapsackGroup> groups = {{{2, 3}, {4, 1}}, {{3, 4}, {5, 1}}};
  const auto solution = solve_knapsack(groups, 7);
  ASSERT_TRUE(solution);
  EXPECT_THAT(solution->choice, ElementsAre(0u, 1u));
  EXPECT_EQ(solution->bytes, 7u);
  EXPECT_DOUBLE_EQ(solution->damage, 4);
  EXPECT_DOUBLE_EQ(solution->relaxed, 4);
  EXPECT_DOUBLE_EQ(solution->lambda, 1);
  EXPECT_TRUE(solution->exact);
}

TEST(Knapsack, ExactBeatsGreedyWhereTheBestRateBlocks) {
  // 10 spare bytes. The best rate (9 for 6 bytes) leaves 4 bytes unused; the two others (7 for 5 each) fill all ten: 14 saved.
  const std::vector<KnapsackGroup> groups = {{{0, 9}, {6, 0}}, {{0, 7}, {5, 0}}, {{0, 7}, {5, 0}}};
  const auto greedy = solve_knapsack(groups, 10, {0});
  const auto exact = solve_knapsack(groups, 10);
  ASSERT_TRUE(greedy && exact);
  EXPECT_DOUBLE_EQ(greedy->damage, 14);
  EXPECT_FALSE(greedy->exact);
  // Relaxed: 9 saved for 6 bytes, then 4 of 5 bytes at 1.4: 23 - 9 - 5.6 = 8.4.
  EXPECT_NEAR(greedy->bound, 8.4, kRounding);
  EXPECT_NEAR(greedy->gap(), 5.6 / 14, kRounding);
  EXPECT_DOUBLE_EQ(exact->damage, 9);
  EXPECT_THAT(exact->choice, ElementsAre(0u, 1u, 1u));
  EXPECT_TRUE(exact->exact);
  EXPECT_EQ(exact->gap(), 0);
}

TEST(Knapsack, AThousandInstancesEqualBruteForce) {
  CounterRandom random(28, 0);
  for (int instance = 0; instance < 1000; ++instance) {
    SCOPED_TRACE(instance);
    const auto groups = random_groups(random, 6, 4, 50);
    const uint64_t low = extreme_bytes(groups, false), high = extreme_bytes(groups, true);
    const uint64_t budget = low + random.next_below(high - low + 2);
    const double optimum = brute_force(groups, budget);
    const auto exact = solve_knapsack(groups, budget);
    const auto greedy = solve_knapsack(groups, budget, {0});
    ASSERT_TRUE(exact && greedy);
    expect_consistent(groups, budget, *exact);
    expect_consistent(groups, budget, *greedy);
    EXPECT_TRUE(exact->exact);
    EXPECT_NEAR(exact->damage, optimum, kRounding);
    EXPECT_LE(exact->relaxed, optimum + kRounding);
    EXPECT_GE(greedy->damage, optimum - kRounding);
    EXPECT_LE(greedy->bound, optimum + kRounding);
  }
}

// Equal to a dynamic program over bytes where brute force is out of reach.
TEST(Knapsack, LargerInstancesEqualTheDynamicProgram) {
  CounterRandom random(29, 0);
  for (int instance = 0; instance < 60; ++instance) {
    SCOPED_TRACE(instance);
    const auto groups = random_groups(random, 40, 12, 200);
    const uint64_t low = extreme_bytes(groups, false), high = extreme_bytes(groups, true);
    const uint64_t budget = low + random.next_below(high - low + 1);
    std::vector<double> least(budget + 1, 0);
    for (const KnapsackGroup& group : groups) {
      std::vector<double> next(budget + 1, std::numeric_limits<double>::infinity());
      for (const KnapsackItem& item : group)
        for (uint64_t b = item.bytes; b <= budget; ++b) next[b] = std::min(next[b], least[b - item.bytes] + item.damage);
      least = std::move(next);
    }
    const auto solution = solve_knapsack(groups, budget);
    ASSERT_TRUE(solution);
    expect_consistent(groups, budget, *solution);
    EXPECT_TRUE(solution->exact);
    EXPECT_NEAR(solution->damage, least[budget], kRounding * 40);
  }
}

TEST(Knapsack, InfeasibleBudgetNamesTheSmallestSize) {
  const std::vector<KnapsackGroup> groups = {{{1500, 1}, {1200, 2}}, {{700, 1}}};
  ASSERT_TRUE(solve_knapsack(groups, 1900));
  const auto refused = solve_knapsack(groups, 1899);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
  EXPECT_THAT(refused.error().message, HasSubstr("1,900"));
}

TEST(Knapsack, RefusesWhatIsNoInstance) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<KnapsackGroup> empty = {{{1, 1}}, {}}, not_finite = {{{1, nan}}}, huge = {{{UINT64_MAX / 2, 0}}, {{UINT64_MAX / 2, 0}}};
  EXPECT_EQ(solve_knapsack(empty, 10).error().code, ErrorCode::kUsage);
  EXPECT_EQ(solve_knapsack(not_finite, 10).error().code, ErrorCode::kBadInput);
  EXPECT_EQ(solve_knapsack(huge, UINT64_MAX).error().code, ErrorCode::kBadInput);
}

TEST(Knapsack, AnEffortLimitLeavesAFeasibleChoiceAndAnHonestBound) {
  // Damage falls almost linearly with bytes, so that nearly every combination is near the optimum: the worst case of the search.
  CounterRandom random(31, 0);
  std::vector<KnapsackGroup> groups(60);
  for (KnapsackGroup& group : groups)
    for (int i = 0; i < 12; ++i) {
      const uint64_t bytes = random.next_below(100'000);
      group.push_back({bytes, 200'000 - static_cast<double>(bytes) + static_cast<double>(random.next_below(50))});
    }
  const uint64_t budget = extreme_bytes(groups, false) / 2 + extreme_bytes(groups, true) / 2;
  const auto limited = solve_knapsack(groups, budget, {64}), full = solve_knapsack(groups, budget);
  ASSERT_TRUE(limited && full);
  expect_consistent(groups, budget, *limited);
  EXPECT_FALSE(limited->exact);
  EXPECT_EQ(limited->bound, limited->relaxed);
  EXPECT_LE(limited->bound, full->damage);
  EXPECT_LE(full->damage, limited->damage);
}

TEST(Knapsack, NothingToChooseCostsNothing) {
  const auto solution = solve_knapsack({}, 0);
  ASSERT_TRUE(solution);
  EXPECT_TRUE(solution->exact);
  EXPECT_EQ(solution->bytes, 0u);
}

TEST(Knapsack, AmpleBudgetTakesTheLeastDamageAndFewestBytes) {
  const auto solution = solve_knapsack(std::vector<KnapsackGroup>{{{9, 1}, {5, 1}, {5, 1}, {3, 2}}}, 1000);
  ASSERT_TRUE(solution);
  EXPECT_THAT(solution->choice, ElementsAre(1u));  // of equals the first
  EXPECT_EQ(solution->lambda, 0);
  EXPECT_TRUE(solution->exact);
}

TEST(Knapsack, TiesAreDeterministic) {
  // Twelve equal groups, room for five upgrades: any five are optimal, always the same five are taken.
  const std::vector<KnapsackGroup> groups(12, KnapsackGroup{{10, 2}, {20, 1}});
  const auto first = solve_knapsack(groups, 170), second = solve_knapsack(groups, 170);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->damage, 19);
  EXPECT_EQ(first->choice, second->choice);
  EXPECT_THAT(first->choice, ElementsAre(1u, 1u, 1u, 1u, 1u, 0u, 0u, 0u, 0u, 0u, 0u, 0u));
}

// 1,000 tensors x 20 types of realistic sizes and steep damages: the gap must be below 0.1 % whatever the effort limit allows.
TEST(Knapsack, AThousandTensorsByTwentyTypesLeaveNoGap) {
  CounterRandom random(30, 0);
  const double bits[20] = {1.5625, 1.75,  2.0625, 2.3125, 2.5625, 2.625, 3.0625, 3.4375, 3.4375, 4.25,
                           4.25,   4.375, 4.5,    4.5,    5,      5.5,   6,      6.5625, 8.5,    16};
  std::vector<KnapsackGroup> groups;
  for (int tensor = 0; tensor < 1000; ++tensor) {
    const double weights = 256.0 * static_cast<double>(1 + random.next_below(64)) * 1024;
    const double sensitivity = std::exp(2 * random.next_normal()) * 1e-4;
    KnapsackGroup group;
    for (const double b : bits)
      group.push_back(
          {static_cast<uint64_t>(weights * b / 8 / 32) * 32, sensitivity * std::exp2(-1.8 * b) * std::exp(0.4 * random.next_normal())});
    groups.push_back(std::move(group));
  }
  const uint64_t low = extreme_bytes(groups, false), high = extreme_bytes(groups, true);
  for (const double share : {0.1, 0.2, 0.3, 0.5}) {
    const uint64_t budget = low + static_cast<uint64_t>(share * static_cast<double>(high - low));
    const auto begin = std::chrono::steady_clock::now();
    const auto solution = solve_knapsack(groups, budget);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    ASSERT_TRUE(solution);
    expect_consistent(groups, budget, *solution);
    EXPECT_LT(solution->gap(), 1e-3);
    std::cout << "1000 x 20, budget at " << 100 * share << " %: " << seconds.count() << " s, gap " << solution->gap() << ", exact "
              << solution->exact << ", against the relaxed bound " << (solution->damage - solution->relaxed) / solution->damage << "\n";
  }
}

}  // namespace
}  // namespace assay
