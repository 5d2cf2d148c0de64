#include "assay/awq/fold.h"

#include <gtest/gtest.h>

#include "tests/awq/awq_models.h"

namespace assay {
namespace {

using awq_models::Family;
using awq_models::kFamilies;

std::vector<FoldGroup> groups_of(const Family& family) {
  return fold_groups(*parse_hyper(awq_models::metadata(family), true), awq_models::tensors(family));
}

TEST(Fold, EveryFamilyHasItsGroups) {
  for (const Family& family : kFamilies) {
    SCOPED_TRACE(family.name);
    const auto tensors = awq_models::tensors(family);
    const auto groups = groups_of(family);
    EXPECT_EQ(groups.size(), 3 * family.groups);
    for (const FoldGroup& group : groups) {
      ASSERT_FALSE(group.readers.empty());
      ASSERT_FALSE(group.divided.empty());
      const auto of = [&](const std::string& name) {
        const auto found = std::find_if(tensors.begin(), tensors.end(), [&](const TensorInfo& tensor) { return tensor.name == name; });
        EXPECT_NE(found, tensors.end()) << name;
        return *found;
      };
      for (const std::string& reader : group.readers) EXPECT_EQ(of(reader).row_length(), group.width) << reader;
      for (const Divided& divided : group.divided) {
        const TensorInfo tensor = of(divided.tensor);
        EXPECT_LE(divided.first + group.width, tensor.n_dims > 1 ? tensor.rows() : tensor.elements()) << divided.tensor;
      }
    }
  }
}

TEST(Fold, NamesOfTwoFamiliesByHand) {
  const auto gpt2 = groups_of(kFamilies[5]);
  EXPECT_EQ(gpt2[0].readers, std::vector<std::string>{"blk.0.attn_qkv.weight"});
  EXPECT_EQ(gpt2[0].divided[1].tensor, "blk.0.attn_norm.bias");  // a layer norm's bias is scaled too
  EXPECT_EQ(gpt2[1].divided[0].tensor, "blk.0.attn_qkv.weight");
  EXPECT_EQ(gpt2[1].divided[0].first, 64u);  // rows of v: after 32 of q and 32 of k
  EXPECT_EQ(gpt2[1].divided[1].tensor, "blk.0.attn_qkv.bias");
  EXPECT_EQ(gpt2[1].divided[1].first, 64u);
  const auto llama = groups_of(kFamilies[0]);
  EXPECT_EQ(llama[0].readers, (std::vector<std::string>{"blk.0.attn_q.weight", "blk.0.attn_k.weight", "blk.0.attn_v.weight"}));
  EXPECT_EQ(llama[2].place, FoldPlace::kFfnDown);
  EXPECT_EQ(llama[2].divided[0].tensor, "blk.0.ffn_up.weight");
  EXPECT_EQ(llama[2].divided.size(), 1u);
  EXPECT_EQ(groups_of(kFamilies[1])[3].divided[1].tensor, "blk.0.ffn_up.bias");
}

TEST(Fold, WhatIsLeftOutIsSaid) {
  EXPECT_TRUE(fold_notes(*parse_hyper(awq_models::metadata(kFamilies[1]), true)).empty());
  const auto grouped = fold_notes(*parse_hyper(awq_models::metadata(kFamilies[0]), true));
  ASSERT_EQ(grouped.size(), 1u);
  EXPECT_NE(grouped[0].find("attn_output"), std::string::npos);
  const auto gelu = fold_notes(*parse_hyper(awq_models::metadata(kFamilies[5]), true));
  ASSERT_EQ(gelu.size(), 1u);
  EXPECT_NE(gelu[0].find("ffn_down"), std::string::npos);
}

TEST(Fold, EditsByHand) {
  const FoldGroup group{0, FoldPlace::kFfnDown, 2, {"down"}, {{"up", 1}, {"bias", 1}}};
  const TensorEdits edits = fold_edits(group, {2, 4});
  TensorInfo down{.name = "down"}, up{.name = "up"}, bias{.name = "bias"};
  down.n_dims = up.n_dims = 2;
  down.dims = {2, 2, 1, 1};
  up.dims = {2, 3, 1, 1};
  bias.n_dims = 1;
  bias.dims = {3, 1, 1, 1};
  std::vector<float> a = {1, 1, 3, 5}, b = {8, 8, 8, 8, 8, 8}, c = {8, 8, 8};
  ASSERT_TRUE(edits.at("down")[0](down, a));
  ASSERT_TRUE(edits.at("up")[0](up, b));
  ASSERT_TRUE(edits.at("bias")[0](bias, c));
  EXPECT_EQ(a, (std::vector<float>{2, 4, 6, 20}));
  EXPECT_EQ(b, (std::vector<float>{8, 8, 4, 4, 2, 2}));  // the first row makes something else
  EXPECT_EQ(c, (std::vector<float>{8, 4, 2}));
}

}  // namespace
}  // namespace assay
