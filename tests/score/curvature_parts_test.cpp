#include "assay/score/curvature_parts.h"

#include <gtest/gtest.h>

namespace assay {
namespace {

const CurvatureParts kParts = {{{0.25, 1e-12}, {1.5f, -2.5f, 0.0f}}, {{3.0, 0.0}, {}}};

TEST(CurvatureParts, ComeBackWithEveryNumber) {
  const auto payload = to_payload(kParts);
  ASSERT_TRUE(payload) << payload.error().message;
  const auto again = curvature_parts_from_payload(*payload, 2, 2);
  ASSERT_TRUE(again) << again.error().message;
  ASSERT_EQ(again->size(), kParts.size());
  for (size_t c = 0; c < kParts.size(); ++c) {
    EXPECT_EQ((*again)[c].damage, kParts[c].damage);
    EXPECT_EQ((*again)[c].terms, kParts[c].terms);
  }
}

TEST(CurvatureParts, OtherShapesAndBrokenBytesAreRefused) {
  const std::string payload = *to_payload(kParts);
  EXPECT_TRUE(curvature_parts_from_payload(payload, 2, 2));  // the control
  EXPECT_FALSE(curvature_parts_from_payload(payload, 3, 2));
  EXPECT_FALSE(curvature_parts_from_payload(payload, 2, 1));
  EXPECT_FALSE(curvature_parts_from_payload(payload.substr(0, payload.size() - 1), 2, 2));
  EXPECT_FALSE(curvature_parts_from_payload(payload + "x", 2, 2));
  EXPECT_FALSE(curvature_parts_from_payload("", 2, 2));
}

TEST(CurvatureParts, NamesTellUnitsApart) {
  EXPECT_EQ(curvature_unit("blk.3.ffn_up.weight", 0, 32, 1), "blk.3.ffn_up.weight 0+32 draw 1");
  EXPECT_NE(curvature_unit("a", 0, 32, 1), curvature_unit("a", 32, 32, 1));
}

}  // namespace
}  // namespace assay
