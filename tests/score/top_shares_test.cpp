#include "assay/score/top_shares.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "assay/base/random.h"

namespace assay {
namespace {

// Weights within a bin 0.1 % wide count as equal.
constexpr double kBinWidth = 1e-3;

TEST(TopShares, ByHand) {
  TopShares shares;
  const float values[] = {-8, 1, 4, -2, 1};
  shares.add(values);
  EXPECT_EQ(shares.count(), 5u);
  EXPECT_DOUBLE_EQ(shares.total(), 16);
  EXPECT_DOUBLE_EQ(shares.share(0), 0);
  EXPECT_DOUBLE_EQ(shares.share(0.2), 0.5);
  EXPECT_DOUBLE_EQ(shares.share(0.4), 0.75);
  EXPECT_DOUBLE_EQ(shares.share(0.6), 14.0 / 16);
  EXPECT_DOUBLE_EQ(shares.share(0.7), 14.5 / 16);  // half of one of two equal weights
  EXPECT_DOUBLE_EQ(shares.share(1), 1);
  TopShares nothing;
  const float zeros[] = {0, 0};
  nothing.add(zeros);
  EXPECT_EQ(nothing.share(0.5), 0);
}

TEST(TopShares, AgreesWithASortAndMerges) {
  CounterRandom random(3, 0);
  std::vector<float> values(20'000);
  for (float& value : values) value = static_cast<float>(std::exp(3 * random.next_normal()));
  TopShares whole, first, second;
  whole.add(values);
  first.add(std::span(values).first(7'000));
  second.add(std::span(values).subspan(7'000));
  first.merge(second);
  std::sort(values.begin(), values.end(), std::greater<>());
  double total = 0, before = 0;
  for (const float value : values) total += static_cast<double>(value);
  for (const double part : {0.001, 0.01, 0.1, 0.5, 1.0}) {
    double top = 0;
    for (size_t i = 0; i < static_cast<size_t>(part * 20'000); ++i) top += static_cast<double>(values[i]);
    EXPECT_NEAR(whole.share(part), top / total, kBinWidth) << part;
    EXPECT_DOUBLE_EQ(first.share(part), whole.share(part)) << part;
    EXPECT_GT(whole.share(part), before);
    before = whole.share(part);
  }
}

}  // namespace
}  // namespace assay
