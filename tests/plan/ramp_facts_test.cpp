#include "assay/plan/ramp_facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "assay/plan/decision_groups.h"
#include "tests/plan/recipe_models.h"

namespace assay {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kSensitivity = R"({
  "tensor_scores": {"blk.0.attn_q.weight": {"kurtosis": 1.5, "nsds": 0.7}},
  "group_scores": {"layer.0.attn": {"nsds": 0.7, "nv_score": 0.6, "se_score": 0.1, "n_tensors": 4, "total_elements": 100},
                   "global.embed": {"nsds": 0.2}}})";
constexpr const char* kErrors = R"({"layer.0.attn": {"Q4_K": {"frobenius_rel": 0.07, "mse": 1e-5, "max_error": 0.1, "cosine_sim": 0.99},
  "IQ4_KS": {"frobenius_rel": 0.08}}, "layer.1.attn": {"Q6_K": {"frobenius_rel": 0.02}}})";

TEST(RampFacts, ReadsBothFiles) {
  RampFacts facts;
  std::vector<std::string> losses;
  ASSERT_TRUE(read_ramp_sensitivity(kSensitivity, "sensitivity.json", facts, losses));
  EXPECT_THAT(losses, ElementsAre("scores of 1 single tensors"));
  ASSERT_TRUE(read_ramp_errors(kErrors, "errors.json", facts, losses));
  EXPECT_THAT(losses, ElementsAre("scores of 1 single tensors", HasSubstr("only ik_llama.cpp has: iq4_ks"),
                                  "cosine_sim, max_error, mse of every type"));
  ASSERT_EQ(facts.size(), 3u);
  EXPECT_EQ(facts["layer.0.attn"].sensitivity, 0.7);
  EXPECT_EQ(facts["layer.0.attn"].vulnerability, 0.6);
  EXPECT_EQ(facts["layer.0.attn"].errors.at(GgmlType::kQ4_K), 0.07);
  EXPECT_EQ(facts["global.token_embd"].sensitivity, 0.2);
  EXPECT_EQ(facts["layer.1.attn"].sensitivity, 0.5);  // as RAMP has it for a group it did not analyse
}

TEST(RampFacts, TheProxyTakesThem) {
  RampFacts facts;
  std::vector<std::string> losses;
  ASSERT_TRUE(read_ramp_sensitivity(kSensitivity, "s", facts, losses));
  ASSERT_TRUE(read_ramp_errors(kErrors, "e", facts, losses));
  const auto structure = model_structure(recipe_models::tensors(), GroupRule::kRamp);
  ASSERT_TRUE(structure);
  const std::vector<GgmlType> types = {GgmlType::kQ4_K};
  const auto proxy = ProxyLoss::make(*structure, types, facts);
  ASSERT_TRUE(proxy) << proxy.error().message;
}

TEST(RampFacts, RoundTrip) {
  RampFacts facts = {{"layer.0.attn", {0.25, 0.75, {{GgmlType::kQ4_K, 0.0625}, {GgmlType::kIQ3_S, 0.1}}}},
                     {"global.token_embd", {0.1, 0.2, {}}}};
  RampFacts back;
  std::vector<std::string> losses;
  ASSERT_TRUE(read_ramp_sensitivity(ramp_sensitivity_json(facts), "s", back, losses));
  ASSERT_TRUE(read_ramp_errors(ramp_errors_json(facts), "e", back, losses));
  EXPECT_THAT(losses, IsEmpty());
  ASSERT_EQ(back.size(), facts.size());
  for (const auto& [group, fact] : facts) {
    EXPECT_EQ(back[group].sensitivity, fact.sensitivity);
    EXPECT_EQ(back[group].vulnerability, fact.vulnerability);
    EXPECT_EQ(back[group].errors, fact.errors);
  }
}

struct Case {
  const char* name;
  const char* text;
  const char* message;
  bool errors = false;  // the file of errors
};
class RampFault : public testing::TestWithParam<Case> {};

TEST_P(RampFault, IsNamedAndNothingIsTaken) {
  RampFacts facts = {{"layer.0.attn", {0.25, 0.75, {}}}};
  std::vector<std::string> losses;
  const Status status = GetParam().errors ? read_ramp_errors(GetParam().text, "file", facts, losses)
                                          : read_ramp_sensitivity(GetParam().text, "file", facts, losses);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kBadInput);
  EXPECT_THAT(status.error().message, HasSubstr(GetParam().message));
  EXPECT_EQ(facts.size(), 1u);
  EXPECT_EQ(facts["layer.0.attn"].sensitivity, 0.25);
}

INSTANTIATE_TEST_SUITE_P(
    Faults, RampFault,
    testing::Values(Case{"NotJson", "group_scores", "not JSON"}, Case{"NoGroups", R"({"tensor_scores": {}})", "group_scores is missing"},
                    Case{"Empty", R"({"group_scores": {}})", "group_scores"},
                    Case{"NoNsds", R"({"group_scores": {"a": {"nv_score": 0.5}}})", "group_scores.a.nsds is missing"},
                    Case{"Above1", R"({"group_scores": {"b": {"nsds": 0.5}, "c": {"nsds": 1.5}}})", "group_scores.c.nsds is 1.5"},
                    Case{"Negative", R"({"group_scores": {"a": {"nsds": -0.5}}})", "nsds is -0.5"},
                    Case{"NaN", R"({"group_scores": {"a": {"nsds": NaN}}})", "not JSON"},
                    Case{"Text", R"({"group_scores": {"a": {"nsds": "high"}}})", "nsds is \"high\""},
                    Case{"Twice", R"({"group_scores": {"a": {"nsds": 0.5}, "a": {"nsds": 0.6}}})", "twice"},
                    Case{"UnknownType", R"({"a": {"Q4_X": {"frobenius_rel": 0.1}}})", "did you mean", true},
                    Case{"NoError", R"({"a": {"Q4_K": {"mse": 0.1}}})", "a.Q4_K has no frobenius_rel", true},
                    Case{"NegativeError", R"({"a": {"Q4_K": {"frobenius_rel": -0.1}}})", "frobenius_rel is -0.1", true},
                    Case{"HugeError", R"({"a": {"Q4_K": {"frobenius_rel": 1e999}}})", "", true},
                    Case{"ListOfTypes", R"({"a": [1]})", "a is a list", true}),
    [](const auto& one) { return one.param.name; });

TEST(RampFacts, DepthIsBounded) {
  RampFacts facts;
  std::vector<std::string> losses;
  EXPECT_FALSE(read_ramp_sensitivity(R"({"group_scores": )" + std::string(100000, '['), "file", facts, losses));
}

}  // namespace
}  // namespace assay
