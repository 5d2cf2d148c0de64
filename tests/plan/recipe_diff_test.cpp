#include "assay/plan/recipe_diff.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "assay/file/byte_source.h"
#include "assay/score/published_truth.h"
#include "tests/plan/recipe_models.h"

namespace assay {
namespace {

using namespace recipe_models;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TypeDamage damage() {
  return {"by hand",
          {{"blk.0.attn_q.weight", {"blk.0.attn_q.weight"}, {{"q4_K", 0.25}, {"q8_0", 0.125}}},
           {"blk.1.attn_q.weight", {"blk.1.attn_q.weight"}, {{"q3_K", 1}, {"q4_K", 0.5}}},
           {"blk.1.ffn", {"blk.1.ffn_up.weight", "blk.1.ffn_down.weight"}, {{"q4_K", 2}, {"q3_K", 4}}}}};
}

TEST(RecipeDiff, ByHand) {
  RecipeDocument second = recipe();
  second.types["blk.0.attn_q.weight"] = "q8_0";  // 256 x 256: 36,864 to 69,632 bytes
  second.types["blk.1.attn_q.weight"] = "q4_K";  // 28,160 to 36,864
  second.types["blk.1.ffn_up.weight"] = "q3_K";  // 131,072 weights: 73,728 to 56,320
  second.types["blk.1.ffn_down.weight"] = "q3_K";
  second.types.erase("output.weight");  // back to bf16, which does no damage but is in no row
  const TypeDamage table = damage();
  const auto diff = recipe_diff(recipe(), second, tensors(), &table);
  ASSERT_TRUE(diff) << diff.error().message;
  EXPECT_EQ(diff->changes.size(), 5u);
  EXPECT_EQ(diff->layers, 2);
  const auto roles = diff->by_role();
  ASSERT_EQ(roles.size(), 5u);
  EXPECT_EQ(roles[0].role, "attn_q");
  EXPECT_EQ(roles[0].bytes, 32768 + 8704);
  EXPECT_EQ(roles[0].damage, -0.125 - 0.5);
  EXPECT_EQ(roles[1].role, "ffn");  // the row of two tensors
  EXPECT_EQ(roles[1].damage, 2);
  EXPECT_EQ(roles[1].bytes, 0);
  EXPECT_EQ(roles[2].role, "ffn_down");
  EXPECT_EQ(roles[2].bytes, -17408);
  EXPECT_EQ(roles[4].role, "output");
  const auto layers = diff->by_layer();
  ASSERT_EQ(layers.size(), 3u);
  EXPECT_EQ(layers[0].layer, -1);
  EXPECT_EQ(layers[1].damage, -0.125);
  EXPECT_EQ(layers[2].damage, -0.5 + 2);
  EXPECT_EQ(layers[2].changed, 3u);
  EXPECT_EQ(diff->damage, 1.375);
  EXPECT_THAT(diff->unknown, ElementsAre("output.weight"));
  int64_t sum = 0;
  for (const RecipeMove& move : diff->moves) sum += move.bytes;
  EXPECT_EQ(sum, static_cast<int64_t>(diff->second.tensor_bytes) - static_cast<int64_t>(diff->first.tensor_bytes));
}

TEST(RecipeDiff, ThereAndBack) {
  RecipeDocument second = recipe();
  second.types["blk.1.attn_q.weight"] = "q4_K";
  const TypeDamage table = damage();
  const auto there = recipe_diff(recipe(), second, tensors(), &table), back = recipe_diff(second, recipe(), tensors(), &table);
  ASSERT_TRUE(there && back);
  EXPECT_EQ(there->damage, -back->damage);
  EXPECT_EQ(there->moves[0].bytes, -back->moves[0].bytes);
  const auto same = recipe_diff(recipe(), recipe(), tensors(), &table);
  ASSERT_TRUE(same);
  EXPECT_THAT(same->moves, IsEmpty());
  EXPECT_THAT(same->unknown, IsEmpty());
}

TEST(RecipeDiff, WhatTheTableDoesNotKnow) {
  RecipeDocument second = recipe();
  second.types["blk.1.ffn_up.weight"] = "q3_K";  // its row then has two types
  second.types["blk.0.attn_q.weight"] = "q2_K";  // not in the row
  const TypeDamage table = damage();
  const auto diff = recipe_diff(recipe(), second, tensors(), &table);
  ASSERT_TRUE(diff);
  EXPECT_THAT(diff->unknown, ElementsAre("blk.0.attn_q.weight", "blk.1.ffn"));
  EXPECT_EQ(diff->damage, 0);
  TypeDamage other = damage();
  other.rows[0].tensors = {"blk.9.attn_q.weight"};
  const auto refused = recipe_diff(recipe(), second, tensors(), &other);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kMismatch);
}

TEST(TypeDamage, OfOurTable) {
  DamageTable table;
  table.estimator = "measured";
  table.rows = {{"a", {}, {{GgmlType::kQ4_K, 0.5, 0, false}}}, {"g", {"b", "c"}, {{GgmlType::kIQ4_XS, 1, 0, false}}}};
  const TypeDamage named = type_damage(table);
  ASSERT_EQ(named.rows.size(), 2u);
  EXPECT_THAT(named.rows[0].tensors, ElementsAre("a"));
  EXPECT_EQ(named.rows[0].damage.at("q4_K"), 0.5);
  EXPECT_EQ(named.rows[1].damage.at("iq4_xs"), 1);
  std::vector<std::string> left_out;
  const auto back = ggml_damage_table(named, left_out);
  ASSERT_TRUE(back);
  EXPECT_THAT(left_out, IsEmpty());
  EXPECT_EQ(back->rows[1].cells[0].damage, 1);
}

std::vector<MappedTensor> map() {
  return {{"blk.0.attn_q.weight", {256, 256}, "bf16", 65536, 131072}, {"blk.0.ffn_up.weight", {256, 512}, "bf16", 131072, 262144}};
}

PublishedTable table(const std::string& text) {
  std::vector<std::byte> bytes(text.size());
  std::transform(text.begin(), text.end(), bytes.begin(), [](char c) { return std::byte(c); });
  const auto result = read_published_table(*memory_source(bytes));
  EXPECT_TRUE(result) << result.error().message;
  return result.value_or(PublishedTable{});
}

TEST(TypeDamage, OfAPublishedTable) {
  const auto good = type_damage(table("QTYPE,blk.0.attn_q.weight,blk.0.ffn_up.weight\nq4_K,0.5,404\niq1_kt,1,2\n"), map());
  ASSERT_TRUE(good) << good.error().message;
  ASSERT_EQ(good->rows.size(), 2u);
  EXPECT_EQ(good->rows[0].damage, (std::map<std::string, double>{{"iq1_kt", 1}, {"q4_K", 0.5}}));
  EXPECT_EQ(good->rows[1].damage, (std::map<std::string, double>{{"iq1_kt", 2}}));  // 404: not measured
  std::vector<std::string> left_out;
  const auto ours = ggml_damage_table(*good, left_out);
  ASSERT_TRUE(ours);
  EXPECT_EQ(ours->rows.size(), 1u);
  EXPECT_THAT(left_out, ElementsAre("iq1_kt"));
  const auto negative = type_damage(table("QTYPE,blk.0.attn_q.weight,blk.0.ffn_up.weight\nq4_K,-0.5,1\n"), map());
  ASSERT_FALSE(negative);
  EXPECT_THAT(negative.error().message, HasSubstr("'blk.0.attn_q.weight' at q4_K is -0.5"));
  const auto unknown = type_damage(table("QTYPE,blk.0.attn_q.weight,blk.0.ffn_up.weight\nq4_Z,0.5,1\n"), map());
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().message, HasSubstr("did you mean"));
  const auto percent = type_damage(table("QTYPE,blk.0.attn_q.weight,blk.0.ffn_up.weight\nq4_K,0.5%,1%\n"), map());
  ASSERT_FALSE(percent);
  EXPECT_THAT(percent.error().message, HasSubstr("percent"));
  const auto other = type_damage(table("QTYPE,blk.7.attn_q.weight,blk.0.ffn_up.weight\nq4_K,0.5,1\n"), map());
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::kMismatch);
}

TEST(TypeDamage, OfPublicMeasurements) {
  const std::filesystem::path root = ASSAY_SOURCE_DIR "/../shared/data/measured/Qwen3-4B-Instruct-2507";
  const auto csv = open_file((root / "kld_results.csv").string()), list = open_file((root / "tensors.bf16.map").string());
  if (!csv || !list) GTEST_SKIP() << "no public measurements in " << root;
  const auto published = read_published_table(**csv);
  const auto mapped = read_tensor_map(**list);
  ASSERT_TRUE(published && mapped);
  const auto named = type_damage(*published, *mapped);
  ASSERT_TRUE(named) << named.error().message;
  EXPECT_GT(named->rows.size(), 200u);
  std::vector<std::string> left_out;
  const auto ours = ggml_damage_table(*named, left_out);
  ASSERT_TRUE(ours) << ours.error().message;  // iq1_m
  EXPECT_GE(left_out.size(), 4u);
}

}  // namespace
}  // namespace assay
