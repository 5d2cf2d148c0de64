#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "assay/file/gguf.h"
#include "assay/file/tensor_role.h"

namespace assay {
namespace {

using ::testing::HasSubstr;

TEST(GgmlType, TheTableIsOrderedAndNamesAreUnique) {
  std::set<std::string> names;
  uint32_t last = 0;
  for (const GgmlTypeInfo& info : all_types()) {
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_TRUE(info.type == GgmlType::kF32 || static_cast<uint32_t>(info.type) > last) << info.name;
    last = static_cast<uint32_t>(info.type);
    EXPECT_EQ(find_type(info.type), &info);
    EXPECT_EQ(find_type(std::string_view(info.name)), &info);
  }
  EXPECT_EQ(find_type("q4_k"), find_type(GgmlType::kQ4_K));
  EXPECT_EQ(find_type("Q9_X"), nullptr);
  EXPECT_EQ(find_type(static_cast<GgmlType>(5)), nullptr);
}

struct Size {
  GgmlType type;
  std::vector<uint64_t> dims;
  uint64_t bytes;
};

TEST(GgmlType, BytesByHand) {
  const Size sizes[] = {{GgmlType::kF32, {3, 5}, 60},           {GgmlType::kBF16, {7}, 14},
                        {GgmlType::kQ4_0, {64, 2}, 72},         {GgmlType::kQ4_K, {512, 3}, 864},
                        {GgmlType::kIQ2_XXS, {256, 1, 2}, 132}, {GgmlType::kMXFP4, {32}, 17}};
  for (const Size& size : sizes) EXPECT_EQ(*tensor_bytes(size.type, size.dims, "t"), size.bytes) << find_type(size.type)->name;
  EXPECT_THAT(tensor_bytes(GgmlType::kQ4_K, std::vector<uint64_t>{300}, "blk.0.x").error().message,
              ::testing::AllOf(HasSubstr("'blk.0.x'"), HasSubstr("rows of 300"), HasSubstr("multiple of 256")));
  EXPECT_EQ(tensor_bytes(static_cast<GgmlType>(4), std::vector<uint64_t>{32}, "t").error().code, ErrorCode::kUnsupported);
  EXPECT_FALSE(tensor_bytes(GgmlType::kF32, std::vector<uint64_t>{uint64_t{1} << 62}, "t"));
}

struct Named {
  const char* name;
  Role role;
  int layer;
  bool bias;
};

TEST(TensorRole, NamesAreReadOff) {
  const Named names[] = {{"token_embd.weight", Role::kTokenEmbd, -1, false},
                         {"output.weight", Role::kOutput, -1, false},
                         {"output_norm.weight", Role::kOutputNorm, -1, false},
                         {"rope_freqs.weight", Role::kRopeFreqs, -1, false},
                         {"blk.0.attn_q.weight", Role::kAttnQ, 0, false},
                         {"blk.31.attn_k.bias", Role::kAttnK, 31, true},
                         {"blk.7.attn_q_norm.weight", Role::kAttnQNorm, 7, false},
                         {"blk.7.ffn_down_exps.weight", Role::kFfnDownExps, 7, false},
                         {"blk.7.unheard_of.weight", Role::kOther, 7, false},
                         {"blk.x.attn_q.weight", Role::kOther, -1, false},
                         {"blk.-1.attn_q.weight", Role::kOther, -1, false},
                         {"blk.99999999999.attn_q.weight", Role::kOther, -1, false},
                         {"blk.3", Role::kOther, -1, false},
                         {"", Role::kOther, -1, false}};
  for (const Named& named : names) {
    const TensorRole role = role_of(named.name);
    EXPECT_EQ(name_of(role.role), name_of(named.role)) << named.name;
    EXPECT_EQ(role.layer, named.layer) << named.name;
    EXPECT_EQ(role.is_bias, named.bias) << named.name;
  }
  EXPECT_TRUE(is_attention(Role::kAttnOutput));
  EXPECT_FALSE(is_attention(Role::kAttnNorm));
  EXPECT_TRUE(is_ffn(Role::kFfnUpExps));
  EXPECT_FALSE(is_ffn(Role::kFfnGateInp));
  EXPECT_EQ(group_of("blk.12.attn_q.weight", Grouping::kGroup), "blk.12.attention");
  EXPECT_EQ(group_of("blk.12.ffn_down.weight", Grouping::kGroup), "blk.12.ffn");
  EXPECT_EQ(group_of("blk.12.ffn_down.weight", Grouping::kLayer), "blk.12");
  EXPECT_EQ(group_of("token_embd.weight", Grouping::kLayer), "token_embd.weight");
}

}  // namespace
}  // namespace assay
