#include "assay/plan/recipe_io.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace assay {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;
using T = GgmlType;

TensorInfo tensor(const std::string& name, uint64_t row, uint64_t rows = 8, T type = T::kF16) {
  TensorInfo info;
  info.name = name;
  info.type = type;
  info.n_dims = rows == 0 ? 1 : 2;
  info.dims = {row, rows == 0 ? 1 : rows, 1, 1};
  return info;
}

const std::vector<TensorInfo> kModel = {tensor("token_embd.weight", 256), tensor("blk.1.attn_v.weight", 256),
                                        tensor("blk.1.attn_norm.weight", 256, 0, T::kF32), tensor("blk.11.attn_v.weight", 256),
                                        tensor("blk.11.ffn_down.weight", 96)};

TEST(RecipeText, EachTensorOnceAnchoredAndEscaped) {
  const Recipe recipe{{{"output.weight", T::kQ6_K}, {"blk.0.attn_q.weight", T::kIQ4_XS}}};
  EXPECT_EQ(to_text(recipe), "^blk\\.0\\.attn_q\\.weight$=iq4_xs\n^output\\.weight$=q6_k\n");
}

TEST(RecipeText, ReadsBackWhatItWrites) {
  // Names that would not survive as they stand: upper case is lower-cased on reading, '=', ',' and white space end a token.
  const Recipe recipe{{{"blk.1.attn_v.weight", T::kQ8_0}, {"Odd =, name.weight", T::kF16}, {"a+b[0].weight", T::kQ4_0}}};
  std::vector<TensorInfo> tensors = {tensor("blk.1.attn_v.weight", 256), tensor("Odd =, name.weight", 256), tensor("a+b[0].weight", 256)};
  TensorTypeRules rules;
  const auto status = rules.add_text(to_text(recipe));
  ASSERT_TRUE(status) << status.error().message << to_text(recipe);
  const auto resolved = resolve(rules, tensors);
  ASSERT_TRUE(resolved) << resolved.error().message;
  EXPECT_EQ(resolved->recipe.types, recipe.types);
  EXPECT_THAT(resolved->warnings, IsEmpty());
}

TEST(RecipeRules, FirstMatchWinsAnywhereInTheName) {
  TensorTypeRules rules;
  ASSERT_TRUE(rules.add_text("blk.1.attn=q5_K\nattn_v=q8_0 token=F16\n"));
  const auto resolved = resolve(rules, kModel);
  ASSERT_TRUE(resolved) << resolved.error().message;
  // "blk.1.attn" also finds nothing in blk.11: the dot takes one character only, "blk.11" needs two before ".attn".
  EXPECT_THAT(resolved->recipe.types, UnorderedElementsAre(Pair("blk.1.attn_v.weight", T::kQ5_K), Pair("blk.11.attn_v.weight", T::kQ8_0),
                                                           Pair("token_embd.weight", T::kF16)));
}

TEST(RecipeRules, AnUnanchoredPrefixAlsoTakesLongerNumbers) {
  TensorTypeRules rules;
  ASSERT_TRUE(rules.add_text("blk\\.1.*attn_v=q5_K"));
  const auto resolved = resolve(rules, kModel);
  ASSERT_TRUE(resolved);
  EXPECT_EQ(resolved->recipe.types.size(), 2u);
}

TEST(RecipeRules, CommentsAndCommaLists) {
  TensorTypeRules rules;
  ASSERT_TRUE(rules.add_text("## a recipe of another tool\n^token_embd\\.weight$=q6_K  # the embedding\n\n  attn_v=q8_0,ffn_down=q4_0\n"));
  const auto resolved = resolve(rules, kModel);
  ASSERT_TRUE(resolved) << resolved.error().message;
  EXPECT_EQ(rules.rules().size(), 3u);
  EXPECT_EQ(rules.rules()[2].where, "line 4");
  EXPECT_EQ(resolved->recipe.types.at("token_embd.weight"), T::kQ6_K);
  EXPECT_EQ(resolved->recipe.types.at("blk.11.ffn_down.weight"), T::kQ4_0);
}

TEST(RecipeRules, PatternsAreLowerCasedWithAWarning) {
  TensorTypeRules rules;
  ASSERT_TRUE(rules.add_text("BLK\\.\\D+attn=q8_0"));
  EXPECT_EQ(rules.rules()[0].pattern, "blk\\.\\d+attn");  // \D became \d
  EXPECT_THAT(rules.warnings(), ElementsAre(HasSubstr("lower-cased")));
}

TEST(RecipeRules, ARuleForNothingIsAnError) {
  TensorTypeRules rules;
  ASSERT_TRUE(rules.add_text("attn_v=q8_0 ssm_out=q4_K ffn_up=q4_K"));
  const auto resolved = resolve(rules, kModel);
  ASSERT_FALSE(resolved);
  EXPECT_EQ(resolved.error().code, ErrorCode::kMismatch);
  EXPECT_THAT(resolved.error().message, HasSubstr("'ssm_out', 'ffn_up' match no tensor"));
}

TEST(RecipeRules, WarnsOfFallbacksShadowsAndTensorsLeftAlone) {
  TensorTypeRules rules;
  ASSERT_TRUE(rules.add_text("attn_v=q8_0 blk.1.attn_v=q4_K ffn_down=q6_K norm=q4_0"));
  const auto resolved = resolve(rules, kModel);
  ASSERT_TRUE(resolved) << resolved.error().message;
  EXPECT_EQ(resolved->recipe.types.at("blk.11.ffn_down.weight"), T::kQ8_0);  // rows of 96 hold no Q6_K
  EXPECT_FALSE(resolved->recipe.types.contains("blk.1.attn_norm.weight"));
  EXPECT_THAT(resolved->warnings, ElementsAre(HasSubstr("'blk.1.attn_v' never decide"), HasSubstr("blk.11.ffn_down.weight (Q6_K -> Q8_0)"),
                                              HasSubstr("never quantized, type kept: 'blk.1.attn_norm.weight'")));
}

struct Fault {
  const char* name;
  const char* text;
  const char* message;
};
class RecipeFault : public testing::TestWithParam<Fault> {};

TEST_P(RecipeFault, NamesTheLine) {
  TensorTypeRules rules;
  ASSERT_TRUE(rules.add_text("attn_v=q8_0"));
  const auto status = rules.add_text(GetParam().text);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kUsage);
  EXPECT_THAT(status.error().message, HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(Faults, RecipeFault,
                         testing::Values(Fault{"NoEquals", "\nattn_v q8_0", "line 2: 'attn_v' is not regex=type"},
                                         Fault{"NoPattern", "=q8_0", "line 1"}, Fault{"NoType", "attn_v=", "names the type ''"},
                                         Fault{"PresetAsType", "attn_v=q4_K_M", "mix of types"},
                                         Fault{"UnknownType", "attn_v=q4_kk", "did you mean q4_k?"},
                                         Fault{"Brackets", "attn_v[=q8_0", "not a regular expression"},
                                         Fault{"SecondOfAList", "attn_v=q8_0,oops", "'oops' is not regex=type"}),
                         [](const auto& fault) { return fault.param.name; });

TEST(RecipeRules, ANestedRepetitionCannotHang) {
  TensorTypeRules rules;
  ASSERT_TRUE(rules.add_text("(a*)*(a*)*(a*)*b=q8_0"));
  EXPECT_FALSE(rules.match(std::string(63, 'a')));
  EXPECT_TRUE(rules.match(std::string(62, 'a') + 'b'));
}

TEST(RecipeRules, AnEndlessPatternIsRefused) {
  TensorTypeRules rules;
  const auto status = rules.add(std::string(5000, 'a') + "=q8_0", "--tensor-type");
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message, HasSubstr("5,000 bytes"));
}

}  // namespace
}  // namespace assay
