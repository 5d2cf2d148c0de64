#include "assay/quant/group_rounding.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "assay/base/random.h"

namespace assay {
namespace {

TEST(GroupRounding, ByHand) {
  // Two bits: lowest -1, highest 2, scale 1, zero 1. The second group is alone on its grid.
  std::vector<float> row = {-1, 0.4F, 0.5F, 2, 10, 13};
  round_asymmetric(row, 4, 2);
  EXPECT_EQ(row[0], -1);
  EXPECT_EQ(row[1], 0);
  EXPECT_EQ(row[2], 0);  // a half goes to even
  EXPECT_EQ(row[3], 2);
  // 10 to 13: scale 1, zero clamped to 0, codes end at 3: all is lost, as published.
  EXPECT_EQ(row[4], 3);
  EXPECT_EQ(row[5], 3);
  std::vector<float> same(4, 0.25F);
  round_asymmetric(same, 4, 4);
  EXPECT_EQ(same[0], 0);  // scale 1: rounds to 0
}

TEST(GroupRounding, SymmetricByHand) {
  // Three bits: levels -3 .. 3. Largest 6: scale 2; 1 goes to even (0), 3 to 4 (2 of 1.5). The second group: scale 1/3.
  std::vector<float> row = {-6, 1, 3, 5.1F, 1, -0.1F, 0, 0};
  round_symmetric(row, 4, 3);
  const std::vector<float> expected = {-6, 0, 4, 6, 1, 0, 0, 0};
  for (size_t i = 0; i < row.size(); ++i) EXPECT_FLOAT_EQ(row[i], expected[i]) << i;
  std::vector<float> nothing(4, 0.0F);
  round_symmetric(nothing, 4, 4);
  EXPECT_EQ(nothing, std::vector<float>(4, 0.0F));
}

// What is on the grid stays there.
TEST(GroupRounding, TwiceIsOnce) {
  for (const bool zero_point : {false, true}) {
    CounterRandom random(3, 0);
    std::vector<float> once(1024);
    for (float& w : once) w = static_cast<float>(random.next_normal());
    const GroupGrid grid{4, 128, zero_point};
    round_to_grid(once, grid);
    std::vector<float> twice = once;
    round_to_grid(twice, grid);
    for (size_t i = 0; i < once.size(); ++i) EXPECT_NEAR(twice[i], once[i], 1e-6) << i << (zero_point ? " zero point" : " symmetric");
  }
}

// The error of a Gaussian in groups of 128 is that of methods.md 4.1: 0.0999 at 4 bits, 0.215 at 3, 0.501 at 2.
TEST(GroupRounding, HasThePublishedErrorOnAGaussian) {
  CounterRandom random(7, 0);
  std::vector<float> weights(1 << 18);
  for (float& w : weights) w = static_cast<float>(0.02 * random.next_normal());
  for (const auto& [bits, error] : {std::pair{4, 0.0999}, std::pair{3, 0.215}, std::pair{2, 0.501}}) {
    std::vector<float> rounded = weights;
    round_asymmetric(rounded, 128, bits);
    double difference = 0, all = 0;
    for (size_t i = 0; i < weights.size(); ++i) {
      difference += std::pow(static_cast<double>(weights[i]) - static_cast<double>(rounded[i]), 2);
      all += std::pow(static_cast<double>(weights[i]), 2);
    }
    EXPECT_NEAR(std::sqrt(difference / all) / error, 1, 0.01) << bits;
  }
}

}  // namespace
}  // namespace assay
