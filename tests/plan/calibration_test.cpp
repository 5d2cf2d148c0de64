#include "assay/plan/calibration.h"

#include <gtest/gtest.h>

#include <cmath>

namespace assay {
namespace {

TEST(Calibration, FindsALine) {
  const CalibrationPoint points[] = {{1, 7, 3}, {2, 9, 4}, {4, 13, 3.5}, {5, 15, 5}};
  const auto fit = calibrate(points);
  ASSERT_TRUE(fit) << fit.error().message;
  EXPECT_DOUBLE_EQ(fit->slope, 2);
  EXPECT_DOUBLE_EQ(fit->intercept, 5);
  EXPECT_DOUBLE_EQ(fit->r_squared, 1);
  EXPECT_NEAR(fit->leave_one_out_rmse, 0, 1e-12);
  EXPECT_DOUBLE_EQ(*fit->spearman, 1);
  EXPECT_NEAR(*fit->given_size, 1, 1e-12);
  EXPECT_DOUBLE_EQ(fit->predict(3), 11);
}

// y = 0, 0, 3 at x = 0, 1, 2: slope 1.5, intercept -0.5; without each point the lines predict -3, 1.5 and 0.
TEST(Calibration, LeavesEachPointOut) {
  const CalibrationPoint points[] = {{0, 0, 0}, {1, 0, 0}, {2, 3, 0}};
  const auto fit = calibrate(points);
  ASSERT_TRUE(fit);
  EXPECT_DOUBLE_EQ(fit->slope, 1.5);
  EXPECT_DOUBLE_EQ(fit->intercept, -0.5);
  EXPECT_DOUBLE_EQ(fit->r_squared, 0.75);
  EXPECT_NEAR(fit->leave_one_out_rmse, std::sqrt((9 + 2.25 + 9) / 3), 1e-12);
  EXPECT_NEAR(*fit->leave_one_out_r_squared, 1 - 20.25 / 6, 1e-12);
  EXPECT_FALSE(fit->given_size);
}

// A proxy that follows size alone: R^2 near 1, nothing left once size is taken out.
TEST(Calibration, ASizeInDisguiseExplainsNothingBeyondSize) {
  std::vector<CalibrationPoint> points;
  const double noise[] = {.3, -.2, .1, -.4, .2, .1, -.3, .2}, other[] = {.1, .2, -.3, -.1, .2, -.2, .3, -.2};
  for (int i = 0; i < 8; ++i) points.push_back({10 - i + 0.1 * noise[i], 10 - i + 0.1 * other[i], 2 + 0.5 * i});
  const auto fit = calibrate(points);
  ASSERT_TRUE(fit);
  EXPECT_GT(fit->r_squared, 0.99);
  EXPECT_LT(*fit->given_size, 0.3);
}

TEST(Calibration, Warns) {
  const CalibrationPoint points[] = {{0, 2, 0}, {1, -1, 0}, {2, 1, 0}, {3, 0, 0}};
  const auto fit = calibrate(points);
  ASSERT_TRUE(fit);
  EXPECT_EQ(fit->warnings.size(), 3u);  // R^2, sign, few
}

TEST(Calibration, RefusesWhatHasNoLine) {
  const CalibrationPoint two[] = {{0, 2, 0}, {1, -1, 0}}, equal[] = {{1, 2, 0}, {1, 3, 0}, {1, 4, 0}},
                         broken[] = {{1, 2, 0}, {2, NAN, 0}, {3, 4, 0}};
  EXPECT_EQ(calibrate(two).error().code, ErrorCode::kUsage);
  EXPECT_EQ(calibrate(equal).error().code, ErrorCode::kUsage);
  EXPECT_EQ(calibrate(broken).error().code, ErrorCode::kBadInput);
}

}  // namespace
}  // namespace assay
