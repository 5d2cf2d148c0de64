#include "assay/plan/solve_worst.h"

#include <gtest/gtest.h>

#include <cmath>

#include "assay/base/random.h"

namespace assay {
namespace {

constexpr double kRounding = 1e-9;

WorstProblem made(size_t groups, size_t items, size_t domains, uint64_t seed, double share) {
  WorstProblem problem;
  CounterRandom random(seed, 5);
  uint64_t least = 0, most = 0;
  for (size_t d = 0; d < domains; ++d) {
    problem.fixed.push_back(0.1 * random.next_uniform());
    problem.damages.emplace_back(groups);
  }
  for (size_t g = 0; g < groups; ++g) {
    const uint64_t blocks = 10 + random.next_below(50);
    problem.bytes.emplace_back();
    for (size_t i = 0; i < items; ++i) problem.bytes.back().push_back(blocks * (2 + i));
    for (size_t d = 0; d < domains; ++d) {
      const double weight = std::exp(random.next_normal());  // a group that matters in one text need not in another
      for (size_t i = 0; i < items; ++i) problem.damages[d][g].push_back(weight * std::exp2(-2.0 * static_cast<double>(i)));
    }
    least += problem.bytes.back().front();
    most += problem.bytes.back().back();
  }
  problem.budget = least + static_cast<uint64_t>(share * static_cast<double>(most - least));
  return problem;
}

double worst_of(const WorstProblem& problem, const std::vector<size_t>& choice) {
  double worst = 0;
  for (size_t d = 0; d < problem.damages.size(); ++d) {
    double sum = problem.fixed[d];
    for (size_t g = 0; g < choice.size(); ++g) sum += problem.damages[d][g][choice[g]];
    worst = std::max(worst, sum);
  }
  return worst;
}

double least_worst(const WorstProblem& problem) {
  double best = INFINITY;
  std::vector<size_t> choice(problem.bytes.size(), 0);
  for (;;) {
    uint64_t bytes = 0;
    for (size_t g = 0; g < choice.size(); ++g) bytes += problem.bytes[g][choice[g]];
    if (bytes <= problem.budget) best = std::min(best, worst_of(problem, choice));
    size_t g = 0;
    while (g < choice.size() && ++choice[g] == problem.bytes[g].size()) choice[g++] = 0;
    if (g == choice.size()) return best;
  }
}

TEST(SolveWorst, AgainstAllChoices) {
  int problems = 0, optimal = 0;
  double gap = 0;
  for (const size_t domains : {1, 2, 3, 5})
    for (const double share : {0.2, 0.5})
      for (uint64_t seed = 0; seed < 15; ++seed) {
        const WorstProblem problem = made(6, 4, domains, seed, share);
        const auto found = solve_worst(problem);
        ASSERT_TRUE(found) << found.error().message;
        const double best = least_worst(problem), close = kRounding * best;
        EXPECT_NEAR(found->damage, worst_of(problem, found->choice), close);
        EXPECT_GE(found->damage, best - close);
        EXPECT_LE(found->bound, best + close);
        EXPECT_EQ(found->damages.size(), domains);
        double weights = 0;
        for (const double weight : found->weights) weights += weight;
        EXPECT_NEAR(weights, 1, 1e-9);
        uint64_t bytes = 0;
        for (size_t g = 0; g < 6; ++g) bytes += problem.bytes[g][found->choice[g]];
        EXPECT_LE(bytes, problem.budget);
        ++problems;
        optimal += found->damage <= best + close;
        gap = std::max(gap, found->damage / best - 1);
        if (domains == 1) {
          EXPECT_NEAR(found->damage, best, close);  // one domain is the knapsack
        }
      }
  EXPECT_GE(optimal, problems * 85 / 100) << gap;
  EXPECT_LT(gap, 0.1);
}

// Two groups, room for one to grow; each matters in its own text. By hand: growing a leaves (1, 4), growing b leaves (3, 2).
TEST(SolveWorst, ByHand) {
  WorstProblem problem;
  problem.bytes = {{1, 2}, {1, 2}};
  problem.damages = {{{3, 1}, {0, 0}}, {{0, 0}, {4, 2}}};
  problem.fixed = {0, 0};
  problem.budget = 3;
  const auto found = solve_worst(problem);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->choice, (std::vector<size_t>{0, 1}));
  EXPECT_EQ(found->damage, 3);
  EXPECT_EQ(found->damages, (std::vector<double>{3, 2}));
  EXPECT_LE(found->bound, 3);
  EXPECT_GT(found->bound, 2);  // weights (0.5, 0.5): the least of 2.5 and 2.5
  problem.budget = 1;
  EXPECT_EQ(solve_worst(problem).error().code, ErrorCode::kUsage);
}

}  // namespace
}  // namespace assay
