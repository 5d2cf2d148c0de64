#include "assay/probe/schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "assay/probe/variant_io.h"

namespace assay {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Part = ScheduleEdit::Part;

Result<std::vector<Step>> expand(const std::string& edits, int layers = 5) {
  const auto file = parse_variants(R"([{"name": "v", "schedule": [)" + edits + "]}]", VariantFormat::kJson, "f.json");
  EXPECT_TRUE(file) << file.error().message;
  return expand_schedule(file->variants[0], layers);
}

std::vector<int> blocks(const std::string& edits) {
  const auto steps = expand(edits);
  EXPECT_TRUE(steps) << steps.error().message;
  std::vector<int> numbers;
  if (steps)
    for (const Step& step : *steps) numbers.push_back(step.block);
  return numbers;
}

TEST(Schedule, WithoutEditsEveryBlockRunsOnce) {
  const auto steps = expand_schedule({}, 3);
  ASSERT_TRUE(steps);
  EXPECT_THAT(*steps, ElementsAre(Step{0}, Step{1}, Step{2}));
}

TEST(Schedule, SkipTakesOut) {
  EXPECT_THAT(blocks(R"({"skip": 3})"), ElementsAre(0, 1, 2, 4));
  EXPECT_THAT(blocks(R"({"skip": [1, 3]})"), ElementsAre(0, 4));
  EXPECT_THAT(expand(R"({"skip": [1, 2], "part": "attention"})", 3).value(),
              ElementsAre(Step{0}, Step{1, Part::kFfn}, Step{2, Part::kFfn}));
  EXPECT_THAT(expand(R"({"skip": 1, "part": "ffn"})", 2).value(), ElementsAre(Step{0}, Step{1, Part::kAttention}));
  // Both halves are the whole.
  EXPECT_THAT(blocks(R"({"skip": 1, "part": "ffn"}, {"skip": 1, "part": "attention"})"), ElementsAre(0, 2, 3, 4));
  EXPECT_THAT(blocks(R"({"skip": 1, "part": "ffn"}, {"skip": 1})"), ElementsAre(0, 2, 3, 4));
}

TEST(Schedule, RepeatRunsInPlace) {
  EXPECT_THAT(blocks(R"({"repeat": 1, "times": 3})"), ElementsAre(0, 1, 1, 1, 2, 3, 4));
  EXPECT_THAT(blocks(R"({"repeat": [2, 4], "times": 2})"), ElementsAre(0, 1, 2, 3, 4, 2, 3, 4));
  EXPECT_THAT(expand(R"({"repeat": 1, "times": 2, "gamma": 0.5})", 3).value(),
              ElementsAre(Step{0}, Step{1, Part::kBlock, 0.5f}, Step{1, Part::kBlock, 0.5f}, Step{2}));
  // Every place where the blocks run; gammas multiply; what was left out of a block stays out.
  EXPECT_THAT(blocks(R"({"repeat": 1, "times": 2}, {"repeat": 1, "times": 2})"), ElementsAre(0, 1, 1, 1, 1, 2, 3, 4));
  EXPECT_THAT(expand(R"({"repeat": 1, "times": 1, "gamma": 0.5}, {"repeat": 1, "times": 1, "gamma": 0.5})", 2).value(),
              ElementsAre(Step{0}, Step{1, Part::kBlock, 0.25f}));
  EXPECT_THAT(expand(R"({"skip": 1, "part": "ffn"}, {"repeat": 1, "times": 2})", 2).value(),
              ElementsAre(Step{0}, Step{1, Part::kAttention}, Step{1, Part::kAttention}));
  EXPECT_THAT(blocks(R"({"repeat": [1, 2], "times": 2}, {"skip": 2})"), ElementsAre(0, 1, 1, 3, 4));
}

TEST(Schedule, OrderReplaces) {
  EXPECT_THAT(blocks(R"({"order": [4, 0, 0, 2]})"), ElementsAre(4, 0, 0, 2));
  EXPECT_THAT(blocks(R"({"order": [1, 2, 0, 1, 2]}, {"repeat": [1, 2], "times": 2})"), ElementsAre(1, 2, 1, 2, 0, 1, 2, 1, 2));
}

TEST(Schedule, RefusesWhatCannotApply) {
  const std::pair<const char*, const char*> faults[] = {
      {R"({"skip": 99})", "variant 'v': schedule[0] names block 99; the model has blocks 0 to 4"},
      {R"({"repeat": [3, 5], "times": 2})", "names block 5"},
      {R"({"order": [0, 5]})", "names block 5"},
      {R"({"skip": 1}, {"skip": 1})", "schedule[1] leaves out block 1; an earlier edit has left that out already"},
      {R"({"skip": 1, "part": "ffn"}, {"skip": 1, "part": "ffn"})", "the feed-forward half of block 1"},
      {R"({"skip": 1}, {"skip": 1, "part": "attention"})", "the attention of block 1"},
      {R"({"skip": 1}, {"repeat": 1, "times": 2})", "repeats block 1; an earlier edit has left it out"},
      {R"({"skip": 2}, {"repeat": [1, 3], "times": 2})", "repeats blocks 1 to 3; after the earlier edits they run nowhere"},
      {R"({"skip": 1}, {"order": [0, 1]})", "put the order first"},
      {R"({"skip": [0, 4]})", "leaves no block to run"},
      {R"({"repeat": [0, 4], "times": 64}, {"repeat": 0, "times": 64}, {"repeat": 0, "times": 64})", "makes too long a schedule"},
  };
  for (const auto& [edits, message] : faults) {
    const auto steps = expand(edits);
    ASSERT_FALSE(steps) << edits;
    EXPECT_EQ(steps.error().code, ErrorCode::kMismatch);
    EXPECT_THAT(steps.error().message, HasSubstr(message)) << edits;
  }
}

}  // namespace
}  // namespace assay
