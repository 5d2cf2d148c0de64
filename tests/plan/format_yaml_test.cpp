#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "assay/plan/recipe_format.h"
#include "tests/plan/recipe_models.h"

namespace assay {
namespace {

using namespace recipe_models;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(FormatYaml, RoundTripLosesNothing) {
  for (RecipeDocument document : {recipe(), full_recipe()}) {
    document.types["Odd: name, # \"x\".weight"] = "f16";
    document.types["null"] = "f32";
    const WrittenRecipe text = written(kYamlFormat, document);
    EXPECT_THAT(text.losses, IsEmpty());
    const ReadRecipe back = read(kYamlFormat, text.text, {});
    EXPECT_EQ(back.document, document) << text.text;
    EXPECT_EQ(written(kYamlFormat, back.document).text, text.text);
  }
}

TEST(FormatYaml, IsJsonToo) {
  const ReadRecipe result = read(kYamlFormat, R"({"assay_recipe": 1, "types": {"output.weight": "Q8_0"}})", {});
  EXPECT_EQ(result.document.types.at("output.weight"), "q8_0");
}

struct Case {
  const char* name;
  const char* text;
  const char* message;
};
class YamlFault : public testing::TestWithParam<Case> {};

TEST_P(YamlFault, IsNamed) {
  const Error error = fault(kYamlFormat, GetParam().text);
  EXPECT_EQ(error.code, ErrorCode::kBadInput);
  EXPECT_THAT(error.message, HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Faults, YamlFault,
    testing::Values(Case{"Version", "assay_recipe: 2\ntypes: {a: q8_0}", "assay_recipe is 2"},
                    Case{"NoTypes", "assay_recipe: 1\n", "types is missing"}, Case{"EmptyTypes", "assay_recipe: 1\ntypes: {}", "types"},
                    Case{"ListOfTypes", "assay_recipe: 1\ntypes: [q8_0]", "types is a list"},
                    Case{"UnknownType", "assay_recipe: 1\ntypes: {a.weight: q9_K}", "did you mean"},
                    Case{"NumberAsType", "assay_recipe: 1\ntypes: {a.weight: 8}", "types.a.weight is 8"},
                    Case{"TensorTwice", "assay_recipe: 1\ntypes:\n  a: q8_0\n  a: q4_0", "a"},
                    Case{"UnknownKey", "assay_recipe: 1\ntyps: {a: q8_0}\ntypes: {a: q8_0}", "typs"},
                    Case{"NegativeDamage", "assay_recipe: 1\nprediction: {damage: -1}\ntypes: {a: q8_0}", "damage is -1"},
                    Case{"NanDamage", "assay_recipe: 1\nprediction: {damage: .nan}\ntypes: {a: q8_0}", "nan"},
                    Case{"IntervalDescends", "assay_recipe: 1\nprediction: {interval: [2, 1]}\ntypes: {a: q8_0}", "interval[1] is 1"},
                    Case{"NegativeBytes", "assay_recipe: 1\nprediction: {file_bytes: -5}\ntypes: {a: q8_0}", "file_bytes is -5"},
                    Case{"ShortHash", "assay_recipe: 1\nprovenance: {model_sha256: abc}\ntypes: {a: q8_0}", "64 lower-case"},
                    Case{"Alias", "assay_recipe: 1\ntypes: &t {a: q8_0}\nprovenance: *t", "alias"}),
    [](const auto& one) { return one.param.name; });

TEST(FormatYaml, DepthIsBounded) {
  const std::string text = "assay_recipe: 1\ntypes: " + std::string(5000, '[') + std::string(5000, ']');
  EXPECT_EQ(fault(kYamlFormat, text).code, ErrorCode::kBadInput);
}

}  // namespace
}  // namespace assay
