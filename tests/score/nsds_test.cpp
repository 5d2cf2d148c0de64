#include "assay/score/nsds.h"

#include <gtest/gtest.h>

#include <cmath>

#include "assay/score/nsds_ramp.h"

namespace assay {
namespace {

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

TEST(Nsds, RobustSigmoidByHand) {
  // median 2, distances 1, 0, 2: MAD 1
  const auto s = robust_sigmoid(std::vector<double>{1, 2, 4});
  EXPECT_NEAR(s[0], logistic(-1), 1e-9);
  EXPECT_NEAR(s[1], 0.5, 1e-12);
  EXPECT_NEAR(s[2], logistic(2), 1e-9);
  // Scale and shift change nothing.
  const auto t = robust_sigmoid(std::vector<double>{110, 120, 140});
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(s[i], t[i], 1e-9);
}

TEST(Nsds, SoftOrIsAMeanAndNotASum) {
  EXPECT_NEAR(soft_or(std::vector<double>{0.5}), 0.5, 1e-9);
  EXPECT_NEAR(soft_or(std::vector<double>{0.5, 0.5, 0.5}), 0.5, 1e-9);
  EXPECT_NEAR(soft_or(std::vector<double>{0, 0.75}), 0.5, 1e-9);  // 1 - sqrt(1 * 0.25)
  EXPECT_EQ(soft_or({}), 0);
}

TEST(Nsds, JoinsLayersAndLeavesOutEmptyModules) {
  // Two modules with values, NV of the first and SE of the first; all others are 0 and must not pull towards 0.5.
  std::vector<std::vector<double>> layers(3, std::vector<double>(2 * kNsdsModules, 0.0));
  const double nv[] = {1, 2, 4}, se[] = {4, 2, 1};
  for (size_t l = 0; l < 3; ++l) layers[l][0] = nv[l], layers[l][kNsdsModules] = se[l];
  const auto scores = join_nsds(layers);
  const double a = logistic(-1), b = logistic(2);
  EXPECT_NEAR(scores[0], 1 - std::sqrt((1 - a) * (1 - b)), 1e-9);
  EXPECT_NEAR(scores[1], 0.5, 1e-9);
  EXPECT_NEAR(scores[2], scores[0], 1e-9);
}

TEST(NsdsRamp, MadSigmoidByHandAndItsFallbacks) {
  const auto s = mad_sigmoid(std::vector<double>{1, 2, 4});
  EXPECT_NEAR(s[2], logistic(2 / 1.4826), 1e-12);
  // MAD 0: the standard deviation, here of {0, 0, 0, 4} about its mean 1: sqrt(3)
  EXPECT_NEAR(mad_sigmoid(std::vector<double>{0, 0, 0, 4})[3], logistic(4 / std::sqrt(3.0)), 1e-12);
  for (const double value : mad_sigmoid(std::vector<double>{7, 7, 7})) EXPECT_EQ(value, 0.5);
}

}  // namespace
}  // namespace assay
