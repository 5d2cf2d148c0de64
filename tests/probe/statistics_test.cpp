#include "assay/probe/statistics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace assay {
namespace {

WindowSums window(uint32_t document, double kl) {
  WindowSums sums;
  sums.document = document;
  sums.count = 10;
  sums.kl = kl;
  return sums;
}

double mean_kl(const WindowSums& sums) { return sums.kl / static_cast<double>(sums.count); }

// The mean over counted windows, resample by resample, gives bootstrap()'s own interval: by documents, by blocks, by blocks that do not
// divide the windows.
TEST(WindowResampler, DrawsWhatTheBootstrapDraws) {
  for (const auto& [documents, each] : {std::pair{12U, 3U}, {3U, 9U}, {2U, 7U}}) {
    std::vector<WindowSums> windows;
    for (uint32_t d = 0; d < documents; ++d)
      for (uint32_t w = 0; w < each; ++w) windows.push_back(window(d, 1.0 + 0.37 * d * d + 0.011 * w));
    const BootstrapOptions options{500, 7};
    const WindowResampler resampler(windows, options);
    std::vector<double> draws;
    for (uint32_t r = 0; r < options.resamples; ++r) {
      const auto counts = resampler.counts(r);
      ASSERT_EQ(counts.size(), windows.size());
      double kl = 0, tokens = 0;
      for (size_t w = 0; w < windows.size(); ++w) {
        kl += counts[w] * windows[w].kl;
        tokens += counts[w] * static_cast<double>(windows[w].count);
      }
      draws.push_back(kl / tokens);
    }
    const Interval expected = bootstrap(windows, mean_kl, options), made = percentile_interval(expected.value, draws);
    EXPECT_NEAR(made.low, expected.low, 1e-12);
    EXPECT_NEAR(made.high, expected.high, 1e-12);
    EXPECT_LT(made.low, made.high);
  }
}

TEST(WindowResampler, HasNothingToDrawFromOneWindow) {
  const std::vector<WindowSums> windows = {window(0, 1)};
  EXPECT_THAT(WindowResampler(windows).counts(0), testing::IsEmpty());
}

// 41 draws 0 .. 40: the 2.5 % point is the second, the 97.5 % point the last but one.
TEST(PercentileInterval, ByHand) {
  std::vector<double> draws;
  for (int i = 40; i >= 0; --i) draws.push_back(i);
  const Interval interval = percentile_interval(17, draws);
  EXPECT_EQ(interval.value, 17);
  EXPECT_EQ(interval.low, 1);
  EXPECT_EQ(interval.high, 39);
  EXPECT_EQ(percentile_interval(3, {}).low, 3);
}

}  // namespace
}  // namespace assay
