#include "assay/score/token_sample.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace assay {
namespace {

constexpr size_t kTokens = 40;

std::vector<double> uneven() {
  std::vector<double> importance(kTokens);
  for (size_t t = 20; t < kTokens; ++t) importance[t] = static_cast<double>((t * 7) % 11);
  importance[33] = 500;
  return importance;
}

TEST(TokenSample, DrawsExactlyTheCountRisingAndDistinct) {
  for (uint64_t seed = 0; seed < 200; ++seed)
    for (const size_t count : {1, 5, 10, 39}) {
      CounterRandom random(seed, 1);
      const TokenSample sample = sample_tokens(uneven(), count, random);
      ASSERT_EQ(sample.positions.size(), count);
      for (size_t i = 0; i < count; ++i) {
        EXPECT_GE(sample.weights[i], 1 - 1e-12);
        if (i > 0) {
          EXPECT_GT(sample.positions[i], sample.positions[i - 1]);
        }
      }
    }
}

// The mean of weighted sums over many draws is the sum over all tokens, for any values.
TEST(TokenSample, WeightedSumsAreUnbiased) {
  constexpr int kDraws = 20'000;
  std::vector<double> values(kTokens);
  double exact = 0;
  for (size_t t = 0; t < kTokens; ++t) exact += values[t] = 1 + std::sin(static_cast<double>(t)) + (t > 30 ? 3 : 0);
  double sum = 0, square = 0;
  for (int draw = 0; draw < kDraws; ++draw) {
    CounterRandom random(3, static_cast<uint64_t>(draw));
    const TokenSample sample = sample_tokens(uneven(), 10, random);
    double estimate = 0;
    for (size_t i = 0; i < sample.positions.size(); ++i) estimate += sample.weights[i] * values[static_cast<size_t>(sample.positions[i])];
    sum += estimate;
    square += estimate * estimate;
  }
  const double mean = sum / kDraws, error = std::sqrt((square / kDraws - mean * mean) / kDraws);
  EXPECT_GT(error, 0);
  EXPECT_NEAR(mean, exact, 4 * error);
}

// A token with most of the importance is certain and weighs 1; one without any still has its even share.
TEST(TokenSample, FollowsTheImportance) {
  int hits = 0, rest = 0;
  for (uint64_t draw = 0; draw < 1000; ++draw) {
    CounterRandom random(4, draw);
    const TokenSample sample = sample_tokens(uneven(), 10, random);
    for (size_t i = 0; i < sample.positions.size(); ++i) {
      if (sample.positions[i] == 33) {
        ++hits;
        EXPECT_NEAR(sample.weights[i], 1, 1e-9);
      }
      rest += sample.positions[i] < 20;
    }
  }
  EXPECT_EQ(hits, 1000);
  EXPECT_GT(rest, 500);
  EXPECT_LT(rest, 5000);
}

TEST(TokenSample, WithoutUsableImportanceAllTokensAreAlike) {
  for (const double useless : {0.0, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    CounterRandom random(5, 1);
    const TokenSample sample = sample_tokens(std::vector<double>(kTokens, useless), 10, random);
    ASSERT_EQ(sample.positions.size(), 10u);
    for (const double weight : sample.weights) EXPECT_NEAR(weight, 4, 1e-9);
  }
}

TEST(TokenSample, AllTokensWeighOne) {
  CounterRandom random(6, 1);
  const TokenSample sample = sample_tokens(uneven(), kTokens + 5, random);
  ASSERT_EQ(sample.positions.size(), kTokens);
  for (size_t t = 0; t < kTokens; ++t) {
    EXPECT_EQ(sample.positions[t], static_cast<int64_t>(t));
    EXPECT_EQ(sample.weights[t], 1);
  }
}

}  // namespace
}  // namespace assay
