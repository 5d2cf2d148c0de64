#include "assay/score/strata.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "assay/base/random.h"
#include "assay/score/agreement.h"

namespace assay {
namespace {

using testing::ElementsAre;

std::vector<double> ranks_of(std::span<const double> values, const Strata& strata, std::span<const uint32_t> counts = {}) {
  std::vector<double> ranks(values.size());
  StratifiedOrder(values, strata).standard_ranks(counts, ranks);
  return ranks;
}

Strata one_stratum(size_t items) {
  Strata strata(1, std::vector<uint32_t>(items));
  std::iota(strata[0].begin(), strata[0].end(), 0U);
  return strata;
}

TEST(Strata, InOrderOfFirstAppearance) {
  const std::vector<std::string> labels = {"b", "a", "b"};
  EXPECT_THAT(strata_of(labels), ElementsAre(ElementsAre(0U, 2U), ElementsAre(1U)));
}

// Stratum 1: ranks 1, 2.5, 2.5 about 2: -1, .5, .5, squares sum to 1.5, size 3. Stratum 2 is all equal.
TEST(Strata, StandardRanksByHand) {
  const std::vector<double> values = {4, 9, 9, 7, 7};
  const auto ranks = ranks_of(values, {{0, 1, 2}, {3, 4}});
  EXPECT_NEAR(ranks[0], -std::sqrt(2.0), 1e-15);
  EXPECT_NEAR(ranks[1], std::sqrt(0.5), 1e-15);
  EXPECT_NEAR(ranks[2], std::sqrt(0.5), 1e-15);
  EXPECT_EQ(ranks[3], 0);
  EXPECT_EQ(ranks[4], 0);
}

// Counts mean the same as writing the items out.
TEST(Strata, CountsAreRepetitions) {
  CounterRandom random(3, 0);
  std::vector<double> a, b, a_long, b_long;
  std::vector<uint32_t> counts;
  for (int i = 0; i < 40; ++i) {
    a.push_back(static_cast<double>(random.next_below(12)));
    b.push_back(random.next_normal() + a.back() / 6);
    counts.push_back(static_cast<uint32_t>(random.next_below(4)));
    a_long.insert(a_long.end(), counts.back(), a.back());
    b_long.insert(b_long.end(), counts.back(), b.back());
  }
  const Strata strata = one_stratum(a.size());
  EXPECT_NEAR(*mean_spearman(counts, ranks_of(a, strata, counts), ranks_of(b, strata, counts)), *spearman(a_long, b_long), 1e-12);
  EXPECT_NEAR(*mean_spearman({}, ranks_of(a, strata), ranks_of(b, strata)), *spearman(a, b), 1e-12);
}

// Strata of 3, 2 and 1 items: rho 1, -1 and none; the mean by items is (3 - 2) / 5. A flat score counts as 0, a flat truth not at all.
TEST(Strata, MeansByHand) {
  const Strata strata = {{0, 1, 2}, {3, 4}, {5}};
  const std::vector<double> truth = {1, 2, 3, 5, 4, 9}, score = {10, 20, 30, 1, 2, 0}, flat = {10, 20, 30, 7, 7, 0};
  EXPECT_NEAR(*mean_spearman({}, ranks_of(score, strata), ranks_of(truth, strata)), 0.2, 1e-12);
  EXPECT_NEAR(*mean_kendall(score, truth, strata), 0.2, 1e-12);
  EXPECT_NEAR(*mean_top_overlap(score, truth, strata, 0.1), 3.0 / 5, 1e-12);  // k = 1: hit, miss
  EXPECT_NEAR(*mean_spearman({}, ranks_of(flat, strata), ranks_of(truth, strata)), 0.6, 1e-12);
  EXPECT_NEAR(*mean_kendall(flat, truth, strata), 0.6, 1e-12);
  EXPECT_NEAR(*mean_top_overlap(flat, truth, strata, 0.1), (3 * 1 + 2 * 0.5) / 5, 1e-12);
  EXPECT_NEAR(*mean_spearman({}, ranks_of(truth, strata), ranks_of(flat, strata)), 1, 1e-12);
  const std::vector<double> constant(6, 1.0);
  EXPECT_FALSE(mean_spearman({}, ranks_of(truth, strata), ranks_of(constant, strata)));
  EXPECT_FALSE(mean_kendall(truth, constant, strata));
  EXPECT_FALSE(mean_top_overlap(truth, constant, strata, 0.1));
}

// k = 2 of 4: the score's border is tied three ways, so each of those three is in with 1/2; truth's top are items 0 and 1.
TEST(Strata, TiesOnTheBorderShareIt) {
  const std::vector<double> score = {9, 5, 5, 1}, tied = {9, 5, 5, 5}, truth = {8, 7, 2, 1};
  EXPECT_NEAR(*mean_top_overlap(score, truth, one_stratum(4), 0.5), (1 + 0.5) / 2, 1e-12);
  EXPECT_NEAR(*mean_top_overlap(tied, truth, one_stratum(4), 0.5), (1 + 1.0 / 3) / 2, 1e-12);
}

// (r_xy - r_xz r_yz) / sqrt((1 - r_xz^2)(1 - r_yz^2)) of four items.
TEST(Strata, PartialByHand) {
  const std::vector<double> x = {1, 2, 3, 4}, y = {2, 1, 4, 3}, z = {1, 3, 2, 4};
  const Strata all = one_stratum(4);
  const auto rx = ranks_of(x, all), ry = ranks_of(y, all), rz = ranks_of(z, all);
  // sum of d^2: xy 4 -> 1 - 24/60 = 0.6; xz 2 -> 0.8; yz 1 + 4 + 4 + 1 = 10 -> 0.
  EXPECT_NEAR(*partial_spearman({}, rx, ry, rz), (0.6 - 0.8 * 0) / std::sqrt((1 - 0.64) * 1), 1e-12);
  EXPECT_FALSE(partial_spearman({}, rx, ry, rx)) << "nothing is left of the score";
  EXPECT_NEAR(*partial_spearman({}, rx, ry, std::vector<double>(4, 0.0)), 0.6, 1e-12) << "nothing to control for";
}

}  // namespace
}  // namespace assay
