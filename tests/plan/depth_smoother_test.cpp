#include "assay/plan/depth_smoother.h"

#include <gtest/gtest.h>

#include <cmath>

#include "assay/base/random.h"

namespace assay {
namespace {

TEST(DepthSmoother, PlainRulesByHand) {
  const std::vector<DepthPoint> known = {{0, 0}, {0, 4}, {1, 2}, {2, -1}}, wanted = {{0, 1}, {0, 9}, {1, 0}, {3, 1}, {0, 4}};
  const std::vector<double> values = {1, 3, 10, 5};
  EXPECT_EQ(line_over_depth(known, values, wanted), (std::vector<double>{1.5, 3, 10, 4, 3}));
  EXPECT_EQ(role_medians(known, values, wanted), (std::vector<double>{2, 2, 10, 4, 2}));
}

TEST(DepthSmoother, FollowsRolesAndDepth) {
  std::vector<DepthPoint> known, wanted;
  std::vector<double> values, truth;
  CounterRandom random(1, 0);
  for (size_t role = 0; role < 4; ++role)
    for (int layer = 0; layer < 24; ++layer) {
      const double value = static_cast<double>(role) + std::sin(0.2 * layer + static_cast<double>(role)) + 0.02 * random.next_normal();
      const bool held = layer % 5 == 2;
      (held ? wanted : known).push_back({role, layer});
      (held ? truth : values).push_back(value);
    }
  const auto guesses = smooth_over_depth(known, values, wanted);
  const auto medians = role_medians(known, values, wanted);
  double error = 0, plain = 0, standard = 0;
  for (size_t i = 0; i < truth.size(); ++i) {
    error += std::abs(guesses[i].value - truth[i]);
    plain += std::abs(medians[i] - truth[i]);
    standard += (guesses[i].value - truth[i]) * (guesses[i].value - truth[i]) / guesses[i].variance;
  }
  EXPECT_LT(error, 0.2 * plain);
  standard /= static_cast<double>(truth.size());  // 1 if the variances are right
  EXPECT_GT(standard, 0.1);
  EXPECT_LT(standard, 3);
}

// What it knows nothing of is near the middle, and it says so.
TEST(DepthSmoother, UnknownRolesAreUncertain) {
  std::vector<DepthPoint> known;
  std::vector<double> values;
  for (size_t role = 0; role < 3; ++role)
    for (int layer = 0; layer < 10; ++layer) {
      known.push_back({role, layer});
      values.push_back(static_cast<double>(role));
    }
  const std::vector<DepthPoint> wanted = {{1, 4}, {9, -1}};
  const auto guesses = smooth_over_depth(known, values, wanted);
  EXPECT_NEAR(guesses[0].value, 1, 0.05);
  EXPECT_GT(guesses[1].variance, 5 * guesses[0].variance);
  EXPECT_GT(guesses[1].value, 0);
  EXPECT_LT(guesses[1].value, 2);
}

// More tensors than the shape is chosen on.
TEST(DepthSmoother, ManyRoles) {
  std::vector<DepthPoint> known, wanted;
  std::vector<double> values;
  for (size_t role = 0; role < 12; ++role)
    for (int layer = 0; layer < 50; ++layer) {
      const DepthPoint point{role, layer};
      if (layer == 25) {
        wanted.push_back(point);
        continue;
      }
      known.push_back(point);
      values.push_back(0.1 * static_cast<double>(role) + 0.02 * layer);
    }
  const auto guesses = smooth_over_depth(known, values, wanted);
  for (size_t role = 0; role < 12; ++role) EXPECT_NEAR(guesses[role].value, 0.1 * static_cast<double>(role) + 0.5, 0.02);
}

TEST(DepthSmoother, ConstantsStayConstant) {
  const std::vector<DepthPoint> known = {{0, 0}, {0, 1}, {1, 0}}, wanted = {{1, 1}, {0, 7}};
  const std::vector<double> values = {2, 2, 2};
  for (const DepthGuess& guess : smooth_over_depth(known, values, wanted)) EXPECT_DOUBLE_EQ(guess.value, 2);
}

}  // namespace
}  // namespace assay
