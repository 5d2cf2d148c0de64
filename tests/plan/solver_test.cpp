#include "assay/plan/solver.h"

#include <gtest/gtest.h>

#include <cmath>

#include "assay/base/random.h"
#include "assay/file/gguf.h"

namespace assay {
namespace {

using T = GgmlType;

constexpr T kTypes[] = {T::kIQ2_XXS, T::kIQ2_XS, T::kIQ3_XXS, T::kIQ3_S, T::kQ4_K, T::kQ5_K, T::kQ6_K, T::kQ8_0};

// Groups with damages that fall by about 4 a bit, sizes and weights drawn.
SolverProblem problem(size_t groups, uint64_t seed, double share) {
  SolverProblem made;
  CounterRandom random(seed, 1);
  uint64_t least = 0, most = 0;
  for (size_t g = 0; g < groups; ++g) {
    const double weight = std::exp(2 * random.next_normal());
    const uint64_t blocks = 1 + random.next_below(4000);
    KnapsackGroup items;
    made.bits.emplace_back();
    for (const T type : kTypes) {
      const GgmlTypeInfo* info = find_type(type);
      const double bits = 8.0 * info->block_bytes / info->block_size;
      made.bits.back().push_back(bits);
      items.push_back(
          {blocks * 256 * info->block_bytes / info->block_size, weight * std::exp2(-2 * bits) * (1 + 0.3 * random.next_uniform())});
    }
    for (size_t i = 1; i < items.size(); ++i) items[i].damage = std::min(items[i].damage, items[i - 1].damage);
    least += items[0].bytes;
    most += items.back().bytes;
    made.groups.push_back(std::move(items));
    made.weights.push_back(weight);
  }
  made.budget = least + static_cast<uint64_t>(share * static_cast<double>(most - least));
  return made;
}

// Nothing is better than the exact answer; everything keeps to the budget; the exact answer is that of all choices.
TEST(Solvers, AgainstAllChoices) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    SolverProblem p = problem(4, seed, 0.4);
    double best = INFINITY;
    for (size_t code = 0; code < 4096; ++code) {
      const SolverAnswer answer = answer_of(p, {code & 7, code >> 3 & 7, code >> 6 & 7, code >> 9 & 7});
      if (answer.bytes <= p.budget) best = std::min(best, answer.damage);
    }
    p.presets = {{"large", {7, 7, 7, 7}}, {"lacking", {0, kNoItem, 0, 0}}, {"small", {0, 0, 0, 0}}};
    for (const Solver& solver : all_solvers()) {
      const auto answer = solver.solve(p);
      ASSERT_TRUE(answer) << solver.name << answer.error().message;
      EXPECT_LE(answer->bytes, p.budget) << solver.name;
      EXPECT_GE(answer->damage, best * (1 - 1e-12)) << solver.name;
      EXPECT_EQ(answer->choice.size(), p.groups.size());
      EXPECT_EQ(answer_of(p, answer->choice).damage, answer->damage);
      if (solver.name == "exact") {
        EXPECT_DOUBLE_EQ(answer->damage, best);
      }
    }
  }
}

// Two groups, by hand: damages 8, 4, 1 at 10, 20, 40 bytes, and half of that.
TEST(Solvers, TheBestPresetThatFits) {
  SolverProblem p;
  p.groups = {{{10, 8}, {20, 4}, {40, 1}}, {{10, 4}, {20, 2}, {40, 0.5}}};
  p.budget = 60;
  p.presets = {{"small", {0, 0}}, {"mixed", {1, 2}}, {"other", {2, 1}}, {"large", {2, 2}}, {"lacking", {2, kNoItem}}};
  const auto best = solve_presets(p);
  ASSERT_TRUE(best) << best.error().message;
  EXPECT_EQ(best->preset, "other");  // 1 + 2 = 3 against 4.5
  EXPECT_EQ(best->damage, 3);
  EXPECT_EQ(best->evaluations, 4u);
  p.budget = 25;
  p.presets = {{"mixed", {1, 2}}, {"other", {2, 1}}};
  EXPECT_NE(solve_presets(p).error().message.find("the smallest takes 60 bytes of 25"), std::string::npos);
  p.presets = {{"lacking", {kNoItem, 0}}};
  EXPECT_EQ(solve_presets(p).error().code, ErrorCode::kUsage);
}

// What a price per byte leaves unused is filled.
TEST(Solvers, FillingIsNeverWorse) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const SolverProblem p = problem(12, seed, 0.5);
    EXPECT_LE(solve_lagrangian_fill(p)->damage, solve_lagrangian(p)->damage);
    EXPECT_GE(solve_lagrangian_fill(p)->damage, solve_exact(p)->damage * (1 - 1e-12));
  }
}

TEST(Solvers, OnManyGroups) {
  const SolverProblem p = problem(263, 7, 0.35);
  const double exact = solve_exact(p)->damage, greedy = solve_greedy(p)->damage, lagrangian = solve_lagrangian(p)->damage;
  const double uniform = solve_uniform(p)->damage;
  EXPECT_LE(exact, greedy);
  EXPECT_LT(greedy, 1.02 * exact);
  EXPECT_LT(lagrangian, 1.02 * exact);
  EXPECT_GT(uniform, 1.2 * exact);
  const auto evolution = solve_evolution(p);
  EXPECT_GT(evolution->damage, exact);
  EXPECT_EQ(evolution->evaluations, 128u + 199 * 112);
  // The same seed, the same recipe; another, another.
  EXPECT_EQ(solve_evolution(p)->choice, evolution->choice);
  SolverProblem other = p;
  other.seed = 43;
  EXPECT_NE(solve_evolution(other)->choice, evolution->choice);
}

// Two groups, by hand: 10 bytes; the first saves 8 for 4 bytes, then 1 for 2; the second 6 for 4.
TEST(Solvers, GreedyTakesTheBestStepThatFits) {
  SolverProblem p;
  p.groups = {{{1, 10}, {5, 2}, {7, 1}}, {{1, 9}, {5, 3}}};
  p.bits = {{2, 4.5, 8.5}, {2, 4.5}};
  p.budget = 10;
  const auto greedy = solve_greedy(p);
  ASSERT_TRUE(greedy);
  EXPECT_EQ(greedy->choice, (std::vector<size_t>{1, 1}));
  EXPECT_EQ(greedy->steps, 2u);
  p.budget = 8;  // the second group's step does not fit any more, the first's second does
  EXPECT_EQ(solve_greedy(p)->choice, (std::vector<size_t>{2, 0}));
  p.budget = 6;
  EXPECT_EQ(solve_uniform(p)->choice, (std::vector<size_t>{0, 0}));
  p.budget = 12;
  EXPECT_EQ(solve_uniform(p)->choice, (std::vector<size_t>{2, 1}));
}

// A poor step hides a good one: greedy stays, the exact solver does not.
TEST(Solvers, GreedyDoesNotSeeBehindAPoorStep) {
  SolverProblem p;
  p.groups = {{{1, 10}, {3, 10}, {4, 0}}, {{1, 5}, {4, 4}}};
  p.bits = {{2, 4.5, 8.5}, {2, 4.5}};
  p.budget = 5;
  EXPECT_EQ(solve_greedy(p)->damage, 14);
  EXPECT_EQ(solve_exact(p)->damage, 5);
  EXPECT_EQ(solve_lagrangian(p)->damage, 5);
}

TEST(Solvers, RefuseWhatCannotFit) {
  SolverProblem p = problem(3, 1, 0.5);
  p.budget = 10;
  for (const Solver& solver : all_solvers()) {
    const auto answer = solver.solve(p);
    ASSERT_FALSE(answer) << solver.name;
    EXPECT_EQ(answer.error().code, ErrorCode::kUsage);
    EXPECT_NE(answer.error().message.find("the budget leaves 10"), std::string::npos) << answer.error().message;
  }
  EXPECT_FALSE(find_solver("best"));
  EXPECT_EQ((*find_solver("greedy"))->name, "greedy");
}

}  // namespace
}  // namespace assay
