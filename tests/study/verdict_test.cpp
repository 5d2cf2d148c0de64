#include "assay/study/verdict.h"

#include <gtest/gtest.h>

namespace assay {
namespace {

const Criterion kBelow{"c", "s", Criterion::Rule::kBelow, 1}, kAtLeast{"c", "s", Criterion::Rule::kAtLeast, 1};

TEST(Verdict, ValuesIntervalsAndWhatIsNotMeasured) {
  EXPECT_EQ(judge(kBelow, {{"s", 0.5, {}}}).outcome, Outcome::kPassed);
  EXPECT_EQ(judge(kBelow, {{"s", 1, {}}}).outcome, Outcome::kFailed);
  EXPECT_EQ(judge(kAtLeast, {{"s", 1, {}}}).outcome, Outcome::kPassed);
  EXPECT_EQ(judge(kBelow, {{"s", 0.5, std::pair{0.2, 0.9}}}).outcome, Outcome::kPassed);
  EXPECT_EQ(judge(kBelow, {{"s", 0.5, std::pair{0.2, 1.1}}}).outcome, Outcome::kInconclusive);
  EXPECT_EQ(judge(kAtLeast, {{"s", 0.5, std::pair{0.2, 0.9}}}).outcome, Outcome::kFailed);
  EXPECT_EQ(judge(kBelow, {{"other", 0.5, {}}}).outcome, Outcome::kNotMeasured);
}

TEST(Verdict, OneFailureFailsAll) {
  const Verdict passed = judge(kBelow, {{"s", 0.5, {}}}), failed = judge(kBelow, {{"s", 2, {}}}), open = judge(kBelow, {});
  EXPECT_EQ(overall({passed, passed}), Outcome::kPassed);
  EXPECT_EQ(overall({passed, failed, open}), Outcome::kFailed);
  EXPECT_EQ(overall({passed, open}), Outcome::kInconclusive);
  EXPECT_EQ(overall({}), Outcome::kInconclusive);
}

}  // namespace
}  // namespace assay
