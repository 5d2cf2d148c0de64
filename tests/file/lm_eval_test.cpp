// Results of lm-evaluation-harness, new and old form; then one fault at a time in a file that loads.
#include "assay/file/lm_eval.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace assay {
namespace {

using testing::HasSubstr;

constexpr char kNew[] = R"({
  "results": {
    "hellaswag": {"alias": "hellaswag", "acc,none": 0.5, "acc_stderr,none": 0.01, "acc_norm,none": 0.625, "acc_norm_stderr,none": 0.02},
    "gsm8k": {"alias": "gsm8k", "exact_match,strict-match": 0.25, "exact_match_stderr,strict-match": "N/A", "exact_match,flexible-extract": 0.5}},
  "groups": {}, "versions": {"hellaswag": 1.0, "gsm8k": "3"}, "n-shot": {"hellaswag": 0, "gsm8k": 5},
  "n-samples": {"hellaswag": {"original": 10042, "effective": 400}},
  "config": {"model": "hf", "model_args": "pretrained=org/model,dtype=float16"}, "model_name": "org/model"})";

TEST(LmEval, TheNewForm) {
  const auto read = parse_lm_eval(kNew, "a.json");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->model, "org/model");
  ASSERT_EQ(read->scores.size(), 4u);
  const LmEvalScore &flexible = read->scores[0], &strict = read->scores[1], &acc = read->scores[2], &norm = read->scores[3];
  EXPECT_EQ(flexible.task + "/" + flexible.metric + "/" + flexible.filter, "gsm8k/exact_match/flexible-extract");
  EXPECT_EQ(strict.filter, "strict-match");
  EXPECT_EQ(strict.standard_error, std::nullopt);
  EXPECT_EQ(strict.shots, 5u);
  EXPECT_EQ(strict.version, "3");
  EXPECT_EQ(acc.metric, "acc");
  EXPECT_EQ(acc.value, 0.5);
  EXPECT_EQ(acc.standard_error, 0.01);
  EXPECT_EQ(acc.samples, 400u);
  EXPECT_EQ(norm.metric, "acc_norm");
  EXPECT_EQ(norm.standard_error, 0.02);
}

TEST(LmEval, TheOldFormHasNoFilters) {
  const auto read =
      parse_lm_eval(R"({"results": {"arc": {"acc": 0.5, "acc_stderr": 0.1}}, "config": {"model_args": "pretrained=m"}})", "a");
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->scores.size(), 1u);
  EXPECT_EQ(read->scores[0].filter, "");
  EXPECT_EQ(read->scores[0].standard_error, 0.1);
  EXPECT_EQ(read->model, "m");
}

struct Fault {
  const char* name;
  std::string json;
  const char* message;
};

class LmEvalFault : public testing::TestWithParam<Fault> {};

TEST_P(LmEvalFault, NamesThePlace) {
  const auto read = parse_lm_eval(GetParam().json, "a.json");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::kBadInput);
  EXPECT_THAT(read.error().message, HasSubstr(GetParam().message));
  EXPECT_THAT(read.error().message, HasSubstr("a.json"));
}

INSTANTIATE_TEST_SUITE_P(
    Faults, LmEvalFault,
    testing::Values(Fault{"Cut", std::string(kNew).substr(0, 200), "is not JSON at byte"}, Fault{"List", "[1]", "is a list"},
                    Fault{"Samples", R"({"doc_id": 0})", "has no \"results\""}, Fault{"NoTask", R"({"results": {}})", "has 0 tasks"},
                    Fault{"ResultsAreText", R"({"results": "x"})", "results is \"x\""},
                    Fault{"TaskIsNumber", R"({"results": {"arc": 1}})", "results.arc is 1"},
                    Fault{"NoMetric", R"({"results": {"arc": {"alias": "arc"}}})", "has no metric"},
                    Fault{"ValueIsText", R"({"results": {"arc": {"acc,none": "0.5"}}})", "results.arc.acc,none is \"0.5\""},
                    Fault{"ValueIsNan", R"({"results": {"arc": {"acc,none": NaN}}})", "is not JSON at byte"},
                    Fault{"ValueIsHuge", R"({"results": {"arc": {"acc,none": 1e999}}})", "is not JSON at byte"},
                    Fault{"ErrorIsNegative", R"({"results": {"arc": {"acc,none": 1, "acc_stderr,none": -1}}})", "acc_stderr,none is -1"},
                    Fault{"ErrorIsList", R"({"results": {"arc": {"acc,none": 1, "acc_stderr,none": []}}})", "acc_stderr,none is a list"},
                    Fault{"CountIsText", R"({"results": {"arc": {"acc": 1}}, "n-samples": {"arc": {"effective": "4"}}})",
                          "n-samples.arc.effective is \"4\""},
                    Fault{"ShotsAreNegative", R"({"results": {"arc": {"acc": 1}}, "n-shot": {"arc": -1}})", "n-shot.arc is -1"},
                    Fault{"KeyTwice", R"({"results": {"arc": {"acc": 1, "acc": 2}}})", "key 'acc' is given twice"},
                    Fault{"Nested", R"({"results": )" + std::string(1 << 20, '['), "nests deeper than 100 levels"}),
    [](const auto& fault) { return fault.param.name; });

}  // namespace
}  // namespace assay
