#include "assay/score/agreement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "assay/base/random.h"

namespace assay {
namespace {

using Values = std::vector<double>;

Values random_values(size_t n, uint64_t stream, uint64_t distinct) {
  CounterRandom random(31, stream);
  Values values(n);
  for (double& value : values) value = static_cast<double>(random.next_below(distinct));
  return values;
}

// tau-b from its definition, pair by pair.
double slow_tau(const Values& a, const Values& b) {
  double score = 0, untied_a = 0, untied_b = 0;
  for (size_t i = 0; i < a.size(); ++i)
    for (size_t j = 0; j < i; ++j) {
      const double x = (a[i] > a[j]) - (a[i] < a[j]), y = (b[i] > b[j]) - (b[i] < b[j]);
      score += x * y;
      untied_a += x * x;
      untied_b += y * y;
    }
  return score / std::sqrt(untied_a * untied_b);
}

TEST(Ranks, TiesShareTheirMean) {
  EXPECT_EQ(average_ranks(Values{7, 3, 7}), (Values{2.5, 1, 2.5}));
  EXPECT_EQ(average_ranks(Values{1, 1, 1, 0}), (Values{3, 3, 3, 1}));
  EXPECT_TRUE(average_ranks(Values{}).empty());
}

// Squared rank differences of (1 2 3 4 5) and (2 1 4 3 5): 1 1 1 1 0; rho = 1 - 6 * 4 / (5 * 24) = 0.8.
// Ties: ranks (1, 2.5, 2.5, 4) and (1, 2, 3, 4): product 4.5, squares 4.5 and 5; rho = 4.5 / sqrt(22.5).
TEST(Spearman, AnswersByHand) {
  EXPECT_NEAR(*spearman(Values{1, 2, 3, 4, 5}, Values{2, 1, 4, 3, 5}), 0.8, 1e-15);
  EXPECT_NEAR(*spearman(Values{1, 2, 2, 3}, Values{10, 20, 30, 40}), 4.5 / std::sqrt(22.5), 1e-15);
  EXPECT_EQ(*spearman(Values{1, 2, 3}, Values{30, 20, 10}), -1.0);
}

// (1 2 3 4 5) and (2 1 4 3 5): 2 of 10 pairs disagree, tau = 6 / 10.
// (1 2 2 3) and (1 2 3 4): 5 agree, none disagrees, one tie in a: 5 / sqrt(5 * 6).
TEST(KendallTauB, AnswersByHand) {
  EXPECT_NEAR(*kendall_tau_b(Values{1, 2, 3, 4, 5}, Values{2, 1, 4, 3, 5}), 0.6, 1e-15);
  EXPECT_NEAR(*kendall_tau_b(Values{1, 2, 2, 3}, Values{1, 2, 3, 4}), 5 / std::sqrt(30.0), 1e-15);
  EXPECT_EQ(*kendall_tau_b(Values{1, 2, 3}, Values{30, 20, 10}), -1.0);
}

TEST(KendallTauB, EqualsItsDefinitionWithManyTies) {
  for (uint64_t trial = 0; trial < 60; ++trial) {
    const size_t n = 5 + trial;
    const Values a = random_values(n, 2 * trial, 2 + trial % 9), b = random_values(n, 2 * trial + 1, 2 + trial % 5);
    const auto fast = kendall_tau_b(a, b);
    ASSERT_TRUE(fast.has_value()) << trial;
    EXPECT_NEAR(*fast, slow_tau(a, b), 1e-12) << trial;
  }
}

TEST(TopK, AnswersByHand) {
  const Values a = {9, 8, 7, 1, 0}, b = {9, 1, 8, 7, 0};
  EXPECT_EQ(*top_k_overlap(a, b, 1), 1.0);
  EXPECT_EQ(*top_k_overlap(a, b, 2), 0.5);
  EXPECT_NEAR(*top_k_overlap(a, b, 3), 2.0 / 3, 1e-15);
  EXPECT_EQ(*top_k_overlap(a, b, 5), 1.0);
  EXPECT_EQ(*top_k_overlap(Values{1, 1, 0}, Values{0, 1, 1}, 1), 0.0);  // ties: index 0 and index 1
}

TEST(Agreement, QuestionsWithoutAnAnswerAreEmpty) {
  const Values flat = {1, 1, 1}, good = {1, 2, 3}, longer = {1, 2, 3, 4}, one = {1};
  const Values broken = {1, std::numeric_limits<double>::quiet_NaN(), 3};
  for (const auto& [a, b] :
       {std::pair(flat, good), std::pair(good, flat), std::pair(good, longer), std::pair(one, one), std::pair(broken, good)}) {
    EXPECT_FALSE(spearman(a, b).has_value());
    EXPECT_FALSE(kendall_tau_b(a, b).has_value());
  }
  EXPECT_FALSE(top_k_overlap(good, longer, 1).has_value());
  EXPECT_FALSE(top_k_overlap(good, good, 0).has_value());
  EXPECT_FALSE(top_k_overlap(good, good, 4).has_value());
  EXPECT_FALSE(top_k_overlap(good, broken, 1).has_value());
  EXPECT_TRUE(spearman(good, good) && kendall_tau_b(good, good) && top_k_overlap(good, good, 3));
}

// Shuffling both sides alike, swapping sides and increasing transforms change nothing; reversing one side changes the sign.
TEST(Agreement, OnlyTheCommonOrderMatters) {
  Values a = random_values(200, 1, 40), b = random_values(200, 2, 60);
  for (size_t i = 0; i < a.size(); ++i) b[i] += a[i];
  const double rho = *spearman(a, b), tau = *kendall_tau_b(a, b);
  EXPECT_GT(rho, tau);  // as usual for a clear relation
  EXPECT_GT(tau, 0.2);
  EXPECT_NEAR(*spearman(b, a), rho, 1e-12);
  EXPECT_NEAR(*kendall_tau_b(b, a), tau, 1e-12);
  Values shuffled_a = a, shuffled_b = b, transformed = a, negated = b;
  CounterRandom random(4, 1);
  for (size_t i = a.size() - 1; i > 0; --i) {
    const size_t j = random.next_below(i + 1);
    std::swap(shuffled_a[i], shuffled_a[j]);
    std::swap(shuffled_b[i], shuffled_b[j]);
  }
  for (double& value : transformed) value = std::exp(0.1 * value) - 5;
  for (double& value : negated) value = -value;
  EXPECT_NEAR(*spearman(shuffled_a, shuffled_b), rho, 1e-12);
  EXPECT_NEAR(*kendall_tau_b(shuffled_a, shuffled_b), tau, 1e-12);
  EXPECT_EQ(*spearman(transformed, b), rho);
  EXPECT_EQ(*kendall_tau_b(transformed, b), tau);
  EXPECT_EQ(*top_k_overlap(transformed, b, 20), *top_k_overlap(a, b, 20));
  EXPECT_NEAR(*spearman(a, negated), -rho, 1e-12);
  EXPECT_NEAR(*kendall_tau_b(a, negated), -tau, 1e-12);
  EXPECT_EQ(*spearman(a, transformed), 1.0);
  EXPECT_EQ(*kendall_tau_b(a, transformed), 1.0);
}

// 2 * 10^5 pairs take 2 * 10^10 comparisons pair by pair: minutes.
TEST(KendallTauB, IsFastForManyPairs) {
  const Values a = random_values(200'000, 8, 1'000'000), b = random_values(200'000, 9, 1'000'000);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_NEAR(*kendall_tau_b(a, b), 0, 0.01);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

}  // namespace
}  // namespace assay
