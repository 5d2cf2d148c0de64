#include "assay/study/rfic_verdict.h"

#include <gtest/gtest.h>

#include <cmath>

namespace assay {
namespace {

std::vector<WindowSums> windows(std::initializer_list<double> ppl, double base = 10) {
  std::vector<WindowSums> all;
  for (const double one : ppl) {
    WindowSums window;
    window.document = static_cast<uint32_t>(all.size());
    window.count = 4;
    window.nll = 4 * std::log(one);
    window.nll_base = 4 * std::log(base);
    window.nll_difference = window.nll - window.nll_base;
    all.push_back(window);
  }
  return all;
}

TEST(RficVerdict, TheSourcesPerplexityIsTheMeanOfTheWindows) {
  const auto made = windows({8, 12});
  const UnpairedPpl ppl = unpaired_ppl(made, false, 0);
  EXPECT_NEAR(ppl.value, 10, 1e-12);
  EXPECT_NEAR(ppl.error, 2 / std::sqrt(2.0), 0.2);  // 8, 10, 12 with odds 1 : 2 : 1
  EXPECT_NEAR(unpaired_ppl(made, true, 0).error, 0, 1e-12);
  EXPECT_EQ(unpaired_ppl(windows({8}), false, 0).error, 0);
  EXPECT_EQ(unpaired_ppl(made, false, 3).error, unpaired_ppl(made, false, 3).error);
}

TEST(RficVerdict, TheSourcesRuleByHand) {
  const UnpairedPpl plain{10, 1}, quantized{12, 1};
  EXPECT_EQ(source_verdict(plain, quantized, {9.9, 1}, plain), "improvement");
  EXPECT_EQ(source_verdict(plain, quantized, {10.1, 1}, {10.5, 1}), "safe");
  EXPECT_EQ(source_verdict(plain, quantized, {12, 1}, {12.5, 1}), "failure");
  EXPECT_EQ(source_verdict(plain, quantized, {15, 1}, plain), "unclear");
}

TEST(RficVerdict, OursByHand) {
  const Interval zero{0, -1e-5, 1e-5};
  EXPECT_EQ(paired_verdict({-0.01, -0.02, -0.001}, zero), "improvement");
  EXPECT_EQ(paired_verdict(zero, zero), "safe");
  EXPECT_EQ(paired_verdict({0, -0.01, 0.01}, zero), "unclear");
  EXPECT_EQ(paired_verdict(zero, {0.01, 0.005, 0.02}), "failure");
  EXPECT_EQ(paired_verdict({0.01, 0.005, 0.02}, zero), "failure");
}

// The windows' own difficulty cancels in pairs: the interval is the same however hard they are.
TEST(RficVerdict, PairsDoNotSeeDifficulty) {
  const auto a = windows({8.1, 80.8, 12.1, 5.05, 9.1, 33, 14.2, 7.07, 21.3}), b = windows({8, 80, 12, 5, 9, 33, 14, 7, 21});
  const Interval difference = nll_difference(a, b, 1);
  EXPECT_GT(difference.low, 0);
  EXPECT_LT(difference.high, 0.02);
  EXPECT_GT(unpaired_ppl(a, false, 0).error, 1);
  EXPECT_NEAR(nll_difference(b, 1).value, nll_difference(b, windows({10, 10, 10, 10, 10, 10, 10, 10, 10}), 1).value, 1e-12);
}

}  // namespace
}  // namespace assay
