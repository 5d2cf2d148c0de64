#include "assay/base/vector_math.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace assay {
namespace {

TEST(FastExp, IsWithinTwoUlpOverItsRange) {
  double worst = 0;
  for (double x = -86.9; x < 87.9; x += 0.00137) {
    const auto input = static_cast<float>(x);
    const double exact = std::exp(static_cast<double>(input));
    worst = std::max(worst, std::abs(fast_exp(input) - exact) / exact);
  }
  EXPECT_LT(worst, 2e-7);
}

TEST(FastExp, KnowsItsEnds) {
  EXPECT_EQ(fast_exp(0.0f), 1.0f);
  EXPECT_GT(fast_exp(-1000.0f), 0.0f);
  EXPECT_LT(fast_exp(-1000.0f), 1e-37f);
  EXPECT_TRUE(std::isfinite(fast_exp(1000.0f)));
  EXPECT_TRUE(std::isnan(fast_exp(std::numeric_limits<float>::quiet_NaN())));
}

}  // namespace
}  // namespace assay
