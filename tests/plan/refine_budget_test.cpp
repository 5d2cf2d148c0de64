#include "assay/plan/refine_budget.h"

#include <gtest/gtest.h>

namespace assay {
namespace {

TEST(RefineBudget, ForwardsOrTime) {
  EXPECT_EQ(parse_refine_budget("200")->forwards, 200);
  EXPECT_EQ(parse_refine_budget("2.5")->forwards, 2.5);
  EXPECT_EQ(parse_refine_budget("10min")->seconds, 600);
  EXPECT_EQ(parse_refine_budget("30s")->seconds, 30);
  EXPECT_EQ(parse_refine_budget("1.5h")->seconds, 5400);
  EXPECT_FALSE(parse_refine_budget("0")->any());
  EXPECT_FALSE(parse_refine_budget("0min")->any());
  EXPECT_TRUE(parse_refine_budget("1s")->any());
}

TEST(RefineBudget, RefusesTheRest) {
  for (const char* text : {"", "min", "-3", "10 min", "10minutes", "nan", "inf", "1e12", "3x"}) {
    const auto refused = parse_refine_budget(text);
    ASSERT_FALSE(refused) << text;
    EXPECT_EQ(refused.error().code, ErrorCode::kUsage);
  }
}

}  // namespace
}  // namespace assay
