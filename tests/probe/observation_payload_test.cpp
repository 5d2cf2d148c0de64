#include "assay/probe/observation_payload.h"

#include <gmock/gmock.h>

#include <limits>

namespace assay {
namespace {

std::vector<PositionObservation> some_positions() {
  std::vector<PositionObservation> positions(3);
  for (size_t i = 0; i < positions.size(); ++i) {
    const auto x = static_cast<double>(i + 1);
    positions[i] = {1e-12 * x, 2.5 * x, 2.75 * x, 0.25 * x, 0.125f, 0.1f, 3.0f, -0.5f, static_cast<int32_t>(150000 + i), i == 1, true};
  }
  return positions;
}

TEST(ObservationPayload, PositionsComeBackWithEveryField) {
  const auto positions = some_positions();
  const auto payload = to_payload(positions);
  ASSERT_TRUE(payload) << payload.error().message;
  const auto again = positions_from_payload(*payload);
  ASSERT_TRUE(again) << again.error().message;
  ASSERT_EQ(again->size(), positions.size());
  for (size_t i = 0; i < positions.size(); ++i) {
    const PositionObservation &a = positions[i], &b = (*again)[i];
    EXPECT_EQ(a.kl, b.kl);
    EXPECT_EQ(a.nll_base, b.nll_base);
    EXPECT_EQ(a.nll, b.nll);
    EXPECT_EQ(a.nll_difference, b.nll_difference);
    EXPECT_EQ(a.p_base, b.p_base);
    EXPECT_EQ(a.p, b.p);
    EXPECT_EQ(a.margin_base, b.margin_base);
    EXPECT_EQ(a.margin, b.margin);
    EXPECT_EQ(a.argmax, b.argmax);
    EXPECT_EQ(a.flip, b.flip);
    EXPECT_EQ(b.finite, true);
  }
}

TEST(ObservationPayload, WindowSumsComeBackWithEveryField) {
  const std::vector<WindowSums> windows = {{7, 255, 1.5, 1.25, 0.25, 1e-9, 1e-18, -0.5, 0.01, 0.02, 3},
                                           {8, 255, 2.5, 2.25, 0.75, 1e-7, 1e-14, +0.5, 0.03, 0.04, 5}};
  const auto payload = to_payload(windows);
  ASSERT_TRUE(payload) << payload.error().message;
  const auto again = window_sums_from_payload(*payload);
  ASSERT_TRUE(again) << again.error().message;
  ASSERT_EQ(again->size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    const WindowSums &a = windows[i], &b = (*again)[i];
    EXPECT_EQ(a.document, b.document);
    EXPECT_EQ(a.count, b.count);
    EXPECT_EQ(a.nll, b.nll);
    EXPECT_EQ(a.nll_base, b.nll_base);
    EXPECT_EQ(a.nll_difference, b.nll_difference);
    EXPECT_EQ(a.kl, b.kl);
    EXPECT_EQ(a.kl_square, b.kl_square);
    EXPECT_EQ(a.margin_change, b.margin_change);
    EXPECT_EQ(a.dp, b.dp);
    EXPECT_EQ(a.dp_square, b.dp_square);
    EXPECT_EQ(a.flips, b.flips);
  }
}

TEST(ObservationPayload, BrokenOnesAreRefused) {
  auto positions = some_positions();
  const std::string whole = *to_payload(positions);
  for (const size_t length : {size_t{0}, size_t{7}, whole.size() / 2, whole.size() - 1})
    EXPECT_FALSE(positions_from_payload(whole.substr(0, length))) << length;
  EXPECT_FALSE(positions_from_payload(whole + "x"));
  positions[1].kl = std::numeric_limits<double>::infinity();
  const auto refused = to_payload(positions);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("'kl' [1] is not finite"));
}

}  // namespace
}  // namespace assay
