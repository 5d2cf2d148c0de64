#include "assay/plan/cross_terms.h"

#include <gtest/gtest.h>

#include <cmath>

#include "assay/plan/solve_interactions.h"
#include "tests/plan/interaction_problem.h"

namespace assay {
namespace {

using T = GgmlType;
using Vectors = std::vector<std::vector<float>>;

constexpr double kRounding = 1e-6;  // terms are floats

// One cell per group, all of one type.
std::vector<CrossCell> cells_of(const Vectors& terms, T type = T::kQ4_K) {
  std::vector<CrossCell> cells;
  for (size_t g = 0; g < terms.size(); ++g) cells.push_back({g, type, terms[g]});
  return cells;
}

// Of a cell whose damage is half its square.
std::vector<float> of(const CrossTerms& cross, T type, const std::vector<float>& terms) {
  return cross.of(type, 0.5 * dot(std::span<const float>(terms), std::span<const float>(terms)), terms);
}

double product(const std::vector<float>& a, const std::vector<float>& b) { return dot(std::span<const float>(a), b); }

// Halves are draws 0, 2 and 1, 3. Cosines: of the first two 1 in both halves, of the third with either 0 in both. So sum r^A r^B = 1 =
// sum of squares; less 1/sqrt(3): 0.4226; of all draws 2 x 0.4226 / 1.4226 = 0.5942. All draws have one size, so nothing else changes.
TEST(CrossTerms, ByHand) {
  const Vectors terms = {{1, 1, 1, 1}, {2, 2, 2, 2}, {1, 1, -1, -1}};
  const CrossTerms cross = CrossTerms::shrunk(cells_of(terms));
  const double half = 1 - 1 / std::sqrt(3.0), expected = 2 * half / (1 + half);
  EXPECT_NEAR(expected, 0.5942, 1e-4);
  EXPECT_EQ(cross.reliability().pairs, 3u);
  EXPECT_NEAR(cross.reliability().all, expected, 1e-12);
  EXPECT_NEAR(cross.reliability().types.at(T::kQ4_K), expected, 1e-9);
  EXPECT_NEAR(product(of(cross, T::kQ4_K, terms[0]), of(cross, T::kQ4_K, terms[1])), 8 * expected, kRounding);
  EXPECT_NEAR(product(of(cross, T::kQ4_K, terms[0]), of(cross, T::kQ4_K, terms[2])), 0, kRounding);
}

// Of one pair nothing is believed: its standard error is 1. Then the objective is the sum of the damages.
TEST(CrossTerms, TwoTensorsAreTheSumOfTheirDamages) {
  const Vectors terms = {{1, 1, 1, 1}, {1, 1, 1, 1}};
  const CrossTerms cross = CrossTerms::shrunk(cells_of(terms));
  EXPECT_EQ(cross.reliability().all, 0);
  InteractionObjective objective(4);
  for (const auto& one : terms) {
    objective.add_group(1);
    objective.add_member(0, 2, cross.of(T::kQ4_K, 2, one));
  }
  EXPECT_EQ(objective.damage(std::vector<size_t>{0, 0}), 4);
}

// (1, 1, 1, 1) and (2, 2, 0, 0): energies of the draws 3/8, 3/8, 1/8, 1/8, so w^2 is 8/3, 8/3, 8, 8. Of the first cell w t has squares in
// these ratios; with its length 2 they are 0.5, 0.5, 1.5, 1.5.
TEST(CrossTerms, EveryDrawCountsAlike) {
  // Four of each, so that pairs of equal ones make a type certain enough to read its factor off.
  Vectors terms;
  for (int n = 0; n < 4; ++n) terms.insert(terms.end(), {{1, 1, 1, 1}, {2, 2, 0, 0}});
  const CrossTerms cross = CrossTerms::shrunk(cells_of(terms));
  const double reliability = cross.reliability().types.at(T::kQ4_K);
  ASSERT_GT(reliability, 0.5);
  const std::vector<float> made = of(cross, T::kQ4_K, terms[0]);
  const double expected[] = {0.5, 0.5, 1.5, 1.5};
  for (size_t k = 0; k < 4; ++k) EXPECT_NEAR(made[k] * made[k], reliability * expected[k], kRounding);
  // Lengths are those of the damages.
  const std::vector<float> other = cross.of(T::kQ4_K, 32, terms[0]);  // 16 times the damage
  for (size_t k = 0; k < 4; ++k) EXPECT_NEAR(other[k], 4 * made[k], kRounding);
}

TEST(CrossTerms, AsDrawnIsTheJointForm) {
  const auto problem = interaction_problem::make({.groups = 6, .items = 3, .terms = 31}, 4);
  const CrossTerms cross;
  EXPECT_EQ(cross.reliability().all, 1);
  for (const auto& group : problem.terms)
    for (const auto& terms : group) EXPECT_EQ(cross.of(T::kQ2_K, 7, terms), terms);
}

// Terms of `groups` tensors at two types: independent ones at the one, with a part common to neighbours of a ring at the other.
struct Planted {
  Vectors noise, signal;
  std::vector<CrossCell> cells;
  Planted(size_t groups, size_t draws, uint64_t seed) : noise(groups), signal(groups) {
    CounterRandom random(seed, 5);
    Vectors common(groups);
    for (size_t k = 0; k < draws; ++k) {
      const double size = std::exp(random.next_normal());  // of the draw: a few hold most of the energy
      for (auto& one : common) one.push_back(static_cast<float>(random.next_normal()));
      for (size_t g = 0; g < groups; ++g) {
        noise[g].push_back(static_cast<float>(size * random.next_normal()));
        signal[g].push_back(static_cast<float>(size * (common[g][k] + common[(g + 1) % groups][k] + 0.5 * random.next_normal())));
      }
    }
    for (size_t g = 0; g < groups; ++g) {
      cells.push_back({g, T::kQ8_0, noise[g]});
      cells.push_back({g, T::kQ2_K, signal[g]});
    }
  }
};

TEST(CrossTerms, NoiseIsNotBelievedAndWhatRepeatsIs) {
  for (uint64_t seed = 0; seed < 5; ++seed) {
    const Planted planted(40, 1'000, seed);
    const CrossReliability found = CrossTerms::shrunk(planted.cells).reliability();
    EXPECT_LT(found.types.at(T::kQ8_0), 0.05) << seed;
    EXPECT_GT(found.types.at(T::kQ2_K), 0.8) << seed;
    EXPECT_LT(found.all, found.types.at(T::kQ2_K));
    EXPECT_EQ(found.pairs, 40u * 39 / 2 * 4);
  }
}

// The size of draws does not matter to what is said of pairs, nor does their order within halves.
TEST(CrossTerms, DrawsOfAnySizeCountAlike) {
  const Planted planted(20, 600, 3);
  Vectors scaled = planted.signal, moved = planted.signal;
  for (auto& terms : scaled)
    for (size_t k = 0; k < terms.size(); ++k) terms[k] *= k % 7 == 0 ? 16.f : 1.f;
  for (auto& terms : moved)
    for (size_t k = 0; k + 2 < terms.size(); k += 4) std::swap(terms[k], terms[k + 2]);
  const double plain = CrossTerms::shrunk(cells_of(planted.signal)).reliability().all;
  EXPECT_NEAR(CrossTerms::shrunk(cells_of(scaled)).reliability().all, plain, 0.01);  // weights take the mean over other lengths
  EXPECT_NEAR(CrossTerms::shrunk(cells_of(moved)).reliability().all, plain, 1e-9);
}

// Draws of one window are as one: noise that all of a window share is taken for a signal by halves that split windows, not by whole ones.
TEST(CrossTerms, HalvesTakeWholeWindows) {
  constexpr size_t kRun = 25, kWindows = 8;
  Vectors terms(40);
  CounterRandom random(1, 1);
  for (auto& one : terms)
    for (size_t window = 0; window < kWindows; ++window) {
      const double shared = random.next_normal();
      for (size_t k = 0; k < kRun; ++k) one.push_back(static_cast<float>(shared + 0.3 * random.next_normal()));
    }
  EXPECT_GT(CrossTerms::shrunk(cells_of(terms)).reliability().all, 0.9);
  EXPECT_LT(CrossTerms::shrunk(cells_of(terms), {.run = kRun}).reliability().all, 0.2);
  // Too long for two runs: alternate draws.
  EXPECT_EQ(CrossTerms::shrunk(cells_of(terms), {.run = 150}).reliability().all, CrossTerms::shrunk(cells_of(terms)).reliability().all);
}

TEST(CrossTerms, DoNotDependOnThreadsAndLittleOnTheSampleOfPairs) {
  const Planted planted(60, 500, 2);
  const CrossTerms one = CrossTerms::shrunk(planted.cells, {.threads = 1}), two = CrossTerms::shrunk(planted.cells, {.threads = 2});
  EXPECT_EQ(one.reliability().types, two.reliability().types);
  EXPECT_EQ(of(one, T::kQ2_K, planted.signal[0]), of(two, T::kQ2_K, planted.signal[0]));
  const CrossReliability some = CrossTerms::shrunk(planted.cells, {.most_pairs = 2'000}).reliability();
  EXPECT_GT(some.pairs, 1'500u);
  EXPECT_LT(some.pairs, 2'500u);
  EXPECT_NEAR(some.types.at(T::kQ2_K), one.reliability().types.at(T::kQ2_K), 0.15);
}

TEST(CrossTerms, ZerosAndNothing) {
  EXPECT_EQ(CrossTerms::shrunk({}).reliability().all, 0);
  EXPECT_TRUE(CrossTerms::shrunk({}).of(T::kQ4_K, 1, {}).empty());
  const Vectors terms = {{0, 1, 0, 1}, {0, 0, 0, 0}, {0, 1, 0, 1}};  // draws 0 and 2 say nothing, nor does the second cell
  const CrossTerms cross = CrossTerms::shrunk(cells_of(terms));
  EXPECT_EQ(cross.reliability().pairs, 0u);
  EXPECT_EQ(cross.of(T::kQ4_K, 1, terms[0]), std::vector<float>(4));
  EXPECT_EQ(cross.of(T::kF16, 1, terms[0]), std::vector<float>(4));  // a type that was not seen
}

// Two problems that differ in their draws alone: the one is planned, the other judges. Groups come in pairs whose low types' errors add up.
struct Drawn {
  std::vector<Vectors> terms;  // [group][item]
  std::vector<std::vector<double>> alone;
  std::vector<std::vector<uint64_t>> bytes;
};
Drawn draw(size_t groups, size_t draws, double common, uint64_t seed) {
  constexpr T kKinds[] = {T::kQ2_K, T::kQ4_K, T::kQ8_0};
  CounterRandom random(seed, 3);
  Drawn made;
  made.terms.resize(groups);
  for (auto& group : made.terms) group.resize(std::size(kKinds));
  for (size_t k = 0; k < draws; ++k)
    for (size_t g = 0; g < groups; g += 2) {
      const double shared = random.next_normal();
      for (size_t h = g; h < g + 2; ++h)
        for (size_t i = 0; i < std::size(kKinds); ++i) {
          const double part = i == 0 && g % 4 == 0 ? common : 0;  // every other pair of groups: else there is nothing to choose
          const double size = std::exp2(-2.0 * static_cast<double>(i)) * (1 + 0.02 * static_cast<double>(h)) / std::sqrt(double(draws));
          made.terms[h][i].push_back(static_cast<float>(size * (part * shared + std::sqrt(1 - part * part) * random.next_normal())));
        }
    }
  made.bytes.assign(groups, {2, 4, 8});
  for (size_t g = 0; g < groups; ++g) {
    made.alone.emplace_back();
    for (size_t i = 0; i < std::size(kKinds); ++i)
      made.alone[g].push_back(0.5 * std::exp2(-4.0 * static_cast<double>(i)) * std::pow(1 + 0.02 * static_cast<double>(g), 2));
  }
  return made;
}
InteractionObjective objective_of(const Drawn& drawn, const CrossTerms& cross) {
  constexpr T kKinds[] = {T::kQ2_K, T::kQ4_K, T::kQ8_0};
  InteractionObjective objective(drawn.terms[0][0].size());
  for (size_t g = 0; g < drawn.terms.size(); ++g) {
    objective.add_group(std::size(kKinds));
    for (size_t i = 0; i < std::size(kKinds); ++i)
      objective.add_member(i, drawn.alone[g][i], cross.of(kKinds[i], drawn.alone[g][i], drawn.terms[g][i]));
  }
  return objective;
}
CrossTerms cross_of(const Drawn& drawn) {
  constexpr T kKinds[] = {T::kQ2_K, T::kQ4_K, T::kQ8_0};
  std::vector<CrossCell> cells;
  for (size_t g = 0; g < drawn.terms.size(); ++g)
    for (size_t i = 0; i < std::size(kKinds); ++i) cells.push_back({g, kKinds[i], drawn.terms[g][i]});
  return CrossTerms::shrunk(cells);
}

// Judged by very many draws: where interactions are real, the plan that counts them is better than the sum of damages' one; where there
// are none it is as good, and better than the plan by the few draws as they are.
TEST(CrossTerms, PlansBetterAndNeverChaseNoise) {
  constexpr size_t kGroups = 24, kBudget = kGroups * 3;  // half of the groups at the lowest type
  for (const double common : {0.0, 0.95}) {
    double shrunk = 0, as_drawn = 0, separable = 0;
    for (uint64_t seed = 0; seed < 6; ++seed) {
      const Drawn few = draw(kGroups, 150, common, seed);
      const InteractionObjective truth = objective_of(draw(kGroups, 4'000, common, 100 + seed), CrossTerms());
      const InteractionObjective by_shrunk = objective_of(few, cross_of(few)), by_draws = objective_of(few, CrossTerms());
      InteractionObjective by_damage(1);
      for (const auto& group : few.alone) {
        by_damage.add_group(group.size());
        for (size_t i = 0; i < group.size(); ++i) by_damage.add_member(i, group[i], {});
      }
      const auto damage_of = [&](const InteractionObjective& objective) {
        const auto found = solve_interactions(objective, few.bytes, kBudget);
        EXPECT_TRUE(found);
        EXPECT_LE(found->bound, found->damage);
        return truth.damage(found->choice);
      };
      shrunk += damage_of(by_shrunk);
      as_drawn += damage_of(by_draws);
      separable += damage_of(by_damage);
    }
    if (common > 0) {
      EXPECT_LT(shrunk, 0.97 * separable);
    } else {
      EXPECT_LT(shrunk, 1.01 * separable);
      EXPECT_LT(shrunk, 0.97 * as_drawn);
    }
  }
}

// The bound of the shrunk objective is a bound: over all choices of small problems.
TEST(CrossTerms, BoundIsBelowAllChoices) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const Drawn drawn = draw(6, 60, 0.9, seed);
    interaction_problem::Problem problem;
    problem.bytes = drawn.bytes;
    problem.budget = 24;
    problem.objective = objective_of(drawn, cross_of(drawn));
    double best = INFINITY;
    interaction_problem::each_choice(problem,
                                     [&](const std::vector<size_t>& choice) { best = std::min(best, problem.objective.damage(choice)); });
    const auto found = solve_interactions(problem.objective, problem.bytes, problem.budget);
    ASSERT_TRUE(found);
    EXPECT_LE(found->bound, best * (1 + 1e-9));
    EXPECT_GE(found->damage, best * (1 - 1e-9));
  }
}

}  // namespace
}  // namespace assay
