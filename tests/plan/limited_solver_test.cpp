#include "assay/plan/limited_solver.h"

#include <gtest/gtest.h>

#include <cmath>

#include "assay/base/random.h"
#include "assay/plan/knapsack.h"

namespace assay {
namespace {

// Groups on two devices with bytes and time; types of 2 to 8 bits.
LimitedProblem drawn(size_t groups, uint64_t seed, double gpu, double cpu, double time) {
  LimitedProblem problem;
  CounterRandom random(seed, 3);
  std::vector<double> most(3);
  for (size_t g = 0; g < groups; ++g) {
    const double weight = std::exp(1.5 * random.next_normal()), size = 1 + random.next_uniform();
    problem.groups.emplace_back();
    for (int bits = 2; bits <= 8; ++bits) {
      LimitedItem item{weight * std::exp2(-2 * bits), {0, 0, 0}};
      item.use[g % 2] = size * bits;
      item.use[2] = size * (bits == 3 ? 6 : bits);  // a slow type
      if (bits == 8)
        for (size_t k = 0; k < 3; ++k) most[k] += item.use[k];
      problem.groups.back().push_back(item);
    }
  }
  problem.limits = {{"GPU", gpu * most[0]}, {"CPU", cpu * most[1]}, {"time", time * most[2]}};
  return problem;
}

TEST(LimitedSolver, AgainstAllChoices) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const LimitedProblem problem = drawn(5, seed, 0.5, 0.6, 0.55);
    double best = INFINITY;
    for (size_t code = 0; code < 16807; ++code) {
      double damage = 0, use[3] = {};
      size_t rest = code;
      for (const auto& group : problem.groups) {
        const LimitedItem& item = group[rest % 7];
        rest /= 7;
        damage += item.damage;
        for (size_t k = 0; k < 3; ++k) use[k] += item.use[k];
      }
      bool keeps = true;
      for (size_t k = 0; k < 3; ++k) keeps = keeps && use[k] <= problem.limits[k].most;
      if (keeps) best = std::min(best, damage);
    }
    const auto solved = solve_limited(problem);
    ASSERT_TRUE(solved) << solved.error().message;
    EXPECT_GE(solved->damage, best * (1 - 1e-9));
    EXPECT_LE(solved->damage, best * 1.25) << seed;  // five groups: little to exchange
    EXPECT_LE(solved->bound, best * (1 + 1e-9));
    for (size_t k = 0; k < 3; ++k) EXPECT_LE(solved->use[k], problem.limits[k].most * (1 + 1e-9));
  }
}

TEST(LimitedSolver, ClosesTheGapOnManyGroups) {
  const auto solved = solve_limited(drawn(300, 1, 0.45, 0.6, 0.5));
  ASSERT_TRUE(solved) << solved.error().message;
  EXPECT_LT(solved->gap(), 0.01);
  EXPECT_GE(solved->gap(), 0);
}

// One limit: as the exact solver.
TEST(LimitedSolver, WithOneLimit) {
  LimitedProblem problem = drawn(60, 2, 1, 1, 0.4);
  std::vector<KnapsackGroup> groups;
  for (auto& group : problem.groups) {
    groups.emplace_back();
    for (LimitedItem& item : group) {
      const auto bytes = static_cast<uint64_t>(1000 * item.use[2]);
      item.use = {static_cast<double>(bytes)};
      groups.back().push_back({bytes, item.damage});
    }
  }
  problem.limits = {{"bytes", std::floor(1000 * problem.limits[2].most)}};
  const auto exact = solve_knapsack(groups, static_cast<uint64_t>(problem.limits[0].most));
  const auto solved = solve_limited(problem);
  ASSERT_TRUE(exact && solved);
  EXPECT_GE(solved->damage, exact->damage * (1 - 1e-12));
  EXPECT_LT(solved->damage, exact->damage * 1.01);
  EXPECT_LE(solved->bound, exact->damage * (1 + 1e-12));
  EXPECT_NEAR(solved->prices[0] / exact->lambda, 1, 0.2);
}

TEST(LimitedSolver, LooseLimitsCostNothing) {
  const LimitedProblem problem = drawn(20, 3, 1, 1, 1);
  const auto solved = solve_limited(problem);
  ASSERT_TRUE(solved);
  double least = 0;
  for (const auto& group : problem.groups) least += group.back().damage;
  EXPECT_DOUBLE_EQ(solved->damage, least);
  EXPECT_NEAR(solved->gap(), 0, 1e-9);
}

// The limit that cannot be met is named with what it needs; of limits that only together contradict each other, those.
TEST(LimitedSolver, NamesWhatContradicts) {
  LimitedProblem problem = drawn(20, 4, 0.1, 0.6, 0.6);
  auto refused = solve_limited(problem);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("limit GPU"), std::string::npos) << refused.error().message;

  // Small types are slow, fast ones large; the third limit has nothing to do with it.
  problem.groups.assign(4, {{1, {1, 5, 1}}, {0.5, {5, 1, 1}}});
  problem.limits = {{"bytes", 8}, {"time", 8}, {"layers", 100}};
  refused = solve_limited(problem);
  ASSERT_FALSE(refused);
  const std::string& message = refused.error().message;
  EXPECT_NE(message.find("bytes"), std::string::npos) << message;
  EXPECT_NE(message.find("time"), std::string::npos) << message;
  EXPECT_EQ(message.find("layers"), std::string::npos) << message;
}

}  // namespace
}  // namespace assay
