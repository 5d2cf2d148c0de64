#include "assay/file/block_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace assay {
namespace {

using ::testing::ElementsAre;
using ::testing::Optional;

TEST(BlockOrder, NamesMoveAndOthersStay) {
  EXPECT_EQ(name_in_block("blk.3.ffn_up.weight", 17), "blk.17.ffn_up.weight");
  EXPECT_EQ(name_in_block("blk.21.attn_q.bias", 0), "blk.0.attn_q.bias");
  EXPECT_EQ(name_in_block("token_embd.weight", 5), "token_embd.weight");
  EXPECT_EQ(name_in_block("output_norm.weight", 5), "output_norm.weight");
}

TEST(BlockOrder, ArraysOfOneEntryPerBlockFollow) {
  Metadata metadata;
  metadata.set("general.architecture", MetaValue::string("qwen2"));
  metadata.set("qwen2.block_count", MetaValue::u32(3));
  metadata.set("qwen2.attention.head_count", MetaValue::i32s({4, 5, 6}));
  metadata.set("qwen2.scales", MetaValue::f32s({0.5F, 1.5F, 2.5F}));
  StringList names;
  for (const char* name : {"a", "b", "c"}) names.push_back(name);
  metadata.set("qwen2.names", MetaValue::strings(names));
  metadata.set("qwen2.pair", MetaValue::i32s({1, 2}));
  metadata.set("qwen2.rope.dimension_sections", MetaValue::i32s({3, 4, 5}));
  metadata.set("tokenizer.ggml.token_type", MetaValue::i32s({7, 8, 9}));
  const std::vector<uint32_t> blocks = {2, 0, 0, 1};
  order_blocks(metadata, blocks, 3);
  EXPECT_THAT(metadata.get_u64("qwen2.block_count").value(), Optional(uint64_t{4}));
  EXPECT_THAT(metadata.get_i64s("qwen2.attention.head_count").value(), Optional(ElementsAre(6, 4, 4, 5)));
  EXPECT_THAT(metadata.get_f64s("qwen2.scales").value(), Optional(ElementsAre(2.5, 0.5, 0.5, 1.5)));
  const StringList* ordered = metadata.get_strings("qwen2.names").value();
  ASSERT_EQ(ordered->size(), 4u);
  EXPECT_EQ(std::string((*ordered)[0]) + std::string((*ordered)[3]), "cb");
  EXPECT_THAT(metadata.get_i64s("qwen2.pair").value(), Optional(ElementsAre(1, 2)));
  EXPECT_THAT(metadata.get_i64s("qwen2.rope.dimension_sections").value(), Optional(ElementsAre(3, 4, 5)));
  EXPECT_THAT(metadata.get_i64s("tokenizer.ggml.token_type").value(), Optional(ElementsAre(7, 8, 9)));
}

}  // namespace
}  // namespace assay
