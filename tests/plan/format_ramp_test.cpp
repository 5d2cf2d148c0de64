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

constexpr const char* kFile = R"({"method": "greedy", "proxy_score": 4.765, "budget_bytes": 1000, "gguf_source": "small.gguf",
  "config": {"global.embed": "Q6_K", "layer.0.attn": "Q4_K", "layer.0.ffn": "IQ3_XXS", "layer.1.ffn_down": "Q8_0", "global.output": "Q5_K"}})";

TEST(FormatRamp, ReadsGroups) {
  const ReadRecipe result = read(kRampFormat, kFile, tensors());
  EXPECT_EQ(result.document.types, (std::map<std::string, std::string>{{"token_embd.weight", "q6_K"},
                                                                       {"output.weight", "q5_K"},
                                                                       {"blk.0.attn_q.weight", "q4_K"},
                                                                       {"blk.0.attn_v.weight", "q4_K"},
                                                                       {"blk.0.ffn_up.weight", "iq3_xxs"},
                                                                       {"blk.0.ffn_down.weight", "iq3_xxs"},
                                                                       {"blk.1.ffn_down.weight", "q8_0"}}));
  EXPECT_EQ(result.document.provenance.model, "small.gguf");
  // attn_norm is in RAMP's attention group.
  EXPECT_THAT(result.losses, ElementsAre(HasSubstr("types of 1 vectors and routers"), "'budget_bytes'", "'method'", "'proxy_score'"));
}

TEST(FormatRamp, RoundTripOfOneTypePerGroupLosesNothing) {
  const WrittenRecipe text = written(kRampFormat, recipe(), tensors());
  EXPECT_THAT(text.losses, IsEmpty());
  EXPECT_EQ(read(kRampFormat, text.text, tensors()).document.types, recipe().types) << text.text;
}

TEST(FormatRamp, NamesWhatItCannotExpress) {
  RecipeDocument document = recipe();
  document.types["blk.0.attn_v.weight"] = "q8_0";
  document.types["blk.0.attn_norm.weight"] = "f32";
  document.types.erase("blk.1.attn_v.weight");
  document.prediction.damage = 1;
  const WrittenRecipe text = written(kRampFormat, document, tensors());
  EXPECT_THAT(text.losses, ElementsAre(HasSubstr("1 groups, which take the one of most weights: layer.0.attn (q4_K, q8_0 -> q4_K)"),
                                       HasSubstr("1 tensors that the recipe leaves alone"), HasSubstr("1 vectors"), HasSubstr("predicts")));
  EXPECT_EQ(read(kRampFormat, text.text, tensors()).document.types, recipe().types);
}

TEST(FormatRamp, Faults) {
  EXPECT_EQ(fault(kRampFormat, kFile, false).code, ErrorCode::kUsage);
  EXPECT_FALSE(kRampFormat.write(recipe(), {}));
  EXPECT_THAT(fault(kRampFormat, R"({"config": {"layer.0.atn": "Q4_K"}})").message, HasSubstr("did you mean layer.0.attn"));
  EXPECT_THAT(fault(kRampFormat, R"({"config": {"layer.7.attn": "Q4_K"}})").code, ErrorCode::kMismatch);
  EXPECT_THAT(fault(kRampFormat, R"({"config": {"layer.0.attn": "Q4_KX"}})").message, HasSubstr("did you mean"));
  EXPECT_THAT(fault(kRampFormat, R"({"config": {"layer.0.attn": 4}})").message, HasSubstr("config.layer.0.attn is 4"));
  EXPECT_THAT(fault(kRampFormat, R"({"config": {}})").message, HasSubstr("config"));
  EXPECT_THAT(fault(kRampFormat, R"({"confic": {}})").message, HasSubstr("config is missing"));
  EXPECT_THAT(fault(kRampFormat, R"({"config": {"layer.0.ffn": "Q4_K", "layer.0.ffn": "Q5_K"}})").message, HasSubstr("twice"));
  EXPECT_THAT(fault(kRampFormat, R"({"config": {"layer.0.ffn": "Q4_K", "layer.0.ffn_up": "Q5_K"}})").message,
              HasSubstr("one type is needed"));
  EXPECT_EQ(fault(kRampFormat, R"({"config": )" + std::string(100000, '[')).code, ErrorCode::kBadInput);
  EXPECT_EQ(fault(kRampFormat, R"({"config": {"layer.0.attn": NaN}})").code, ErrorCode::kBadInput);
}

}  // namespace
}  // namespace assay
