#include "assay/plan/type_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace assay {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

std::vector<TensorInfo> model() {
  std::vector<TensorInfo> tensors;
  for (const char* name : {"token_embd.weight", "blk.1.attn_v.weight", "blk.11.attn_v.weight", "blk.1.ffn_up.weight"}) {
    TensorInfo info;
    info.name = name;
    info.n_dims = 2;
    info.dims = {256, 8, 1, 1};
    tensors.push_back(info);
  }
  return tensors;
}

TypeRules rules(const std::vector<std::pair<std::string, std::string>>& list) {
  TypeRules result("mix", PatternCase::kKept);
  size_t line = 0;
  for (const auto& [pattern, type] : list) {
    const auto added = result.add(pattern, type, "line " + std::to_string(++line));
    EXPECT_TRUE(added) << added.error().message;
  }
  return result;
}

TEST(TypeRules, NamesAndPatterns) {
  const auto types = rules({{"^token_embd\\.weight$", "q8_0"}, {"attn_v", "IQ4_KS"}}).resolve(model(), Overlap::kRefuse);
  ASSERT_TRUE(types) << types.error().message;
  EXPECT_THAT(types->types, ElementsAre(Pair("blk.1.attn_v.weight", "iq4_ks"), Pair("blk.11.attn_v.weight", "iq4_ks"),
                                        Pair("token_embd.weight", "q8_0")));
}

// llama.cpp never quantizes vectors and routers: a wide pattern does not mean them.
TEST(TypeRules, LeavesAloneWhatIsNeverQuantized) {
  std::vector<TensorInfo> tensors = model();
  tensors[1].name = "blk.1.attn_v_norm.weight";
  tensors[1].n_dims = 1;
  const auto types = rules({{"attn_v", "q8_0"}, {"attn_v_norm", "q4_0"}}).resolve(tensors, Overlap::kRefuse);
  ASSERT_TRUE(types) << types.error().message;
  EXPECT_THAT(types->types, ElementsAre(Pair("blk.11.attn_v.weight", "q8_0")));
  EXPECT_THAT(types->losses(), ElementsAre("types of 1 tensors that are never quantized: blk.1.attn_v_norm.weight"));
  EXPECT_EQ(rules({{"attn_v", "f32"}}).resolve(tensors, Overlap::kRefuse)->types.size(), 2u);  // a plain type is not quantized
}

TEST(TypeRules, WithoutAModelOnlyNames) {
  EXPECT_TRUE(rules({{"^blk\\.1\\.attn_v\\.weight$", "q8_0"}}).resolve({}, Overlap::kRefuse));
  const auto many = rules({{"attn_v", "q8_0"}}).resolve({}, Overlap::kRefuse);
  ASSERT_FALSE(many);
  EXPECT_EQ(many.error().code, ErrorCode::kUsage);
  EXPECT_THAT(many.error().message, HasSubstr("line 1"));
}

TEST(TypeRules, TwoTypesForATensorNameBothLines) {
  const TypeRules both = rules({{"blk\\.1.*attn_v", "q8_0"}, {"^blk\\.11\\.attn_v\\.weight$", "q4_K"}});
  const auto refused = both.resolve(model(), Overlap::kRefuse);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kMismatch);
  EXPECT_THAT(refused.error().message, HasSubstr("'blk.11.attn_v.weight' is q8_0 by line 1 and q4_K by line 2"));
  const auto first = both.resolve(model(), Overlap::kFirst);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->types.at("blk.11.attn_v.weight"), "q8_0");
  EXPECT_TRUE(rules({{"attn_v", "q8_0"}, {"blk", "q8_0"}}).resolve(model(), Overlap::kRefuse));  // the same type twice
}

TEST(TypeRules, ARuleForNothingNamesItsLineAndNearNames) {
  const auto idle = rules({{"attn_v", "q8_0"}, {"^blk\\.1\\.ffn_upp\\.weight$", "q4_K"}}).resolve(model(), Overlap::kRefuse);
  ASSERT_FALSE(idle);
  EXPECT_EQ(idle.error().code, ErrorCode::kMismatch);
  EXPECT_THAT(idle.error().message, HasSubstr("line 2 'blk.1.ffn_upp.weight' matches no tensor"));
  EXPECT_THAT(idle.error().message, HasSubstr("did you mean blk.1.ffn_up.weight"));
  const auto pattern = rules({{"ssm_", "q8_0"}}).resolve(model(), Overlap::kRefuse);
  ASSERT_FALSE(pattern);
  EXPECT_THAT(pattern.error().message, HasSubstr("another model"));
}

TEST(TypeRules, BadRules) {
  TypeRules list("mix", PatternCase::kKept);
  EXPECT_THAT(list.add("", "q8_0", "line 1").error().message, HasSubstr("no pattern"));
  EXPECT_THAT(list.add("a", "q9_9", "line 1").error().message, HasSubstr("mix: line 1: 'a' names the type 'q9_9'"));
  EXPECT_EQ(list.add("a[", "q8_0", "line 1").error().code, ErrorCode::kUsage);
  const auto none = list.resolve(model(), Overlap::kRefuse);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kBadInput);
}

TEST(TypeRules, PatternsAreCounted) {
  TypeRules list("mix", PatternCase::kKept);
  Status status;
  size_t taken = 0;
  for (; status && taken < 5000; ++taken) status = list.add("attn", "q8_0", "line 1");
  EXPECT_EQ(taken, 4097u);
  EXPECT_THAT(status.error().message, HasSubstr("4,096 patterns"));
}

TEST(TypeRules, LowerCasing) {
  TypeRules lowered("mix", PatternCase::kLowered);
  ASSERT_TRUE(lowered.add("ATTN_V", "q8_0", "line 1"));
  EXPECT_EQ(lowered.warnings().size(), 1u);
  EXPECT_EQ(lowered.resolve(model(), Overlap::kRefuse)->types.size(), 2u);
  EXPECT_FALSE(rules({{"ATTN_V", "q8_0"}}).resolve(model(), Overlap::kRefuse));
}

TEST(NamePattern, EveryByteSurvives) {
  const std::string name = "A=b, c.[0]+$^\\\t";
  for (const PatternCase letters : {PatternCase::kLowered, PatternCase::kKept}) {
    const std::string pattern = anchored_pattern(name, letters);
    EXPECT_EQ(pattern.find_first_of("=, \t"), std::string::npos);
    const auto regex = compile_pattern(pattern, "x");
    ASSERT_TRUE(regex) << regex.error().message;
    EXPECT_TRUE(std::regex_search(name, *regex));
    EXPECT_FALSE(std::regex_search("x" + name, *regex));
  }
  EXPECT_EQ(literal_name("^blk\\.1\\.x$"), "blk.1.x");
  EXPECT_FALSE(literal_name("^blk.1$"));
}

}  // namespace
}  // namespace assay
