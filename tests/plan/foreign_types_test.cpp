#include "assay/plan/foreign_types.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <map>
#include <set>

#include "assay/base/text.h"
#include "assay/file/byte_source.h"
#include "assay/score/published_truth.h"

namespace assay {
namespace {

using testing::HasSubstr;

TensorInfo tensor(std::vector<uint64_t> dims) {
  TensorInfo info;
  info.name = "blk.0.ffn_up.weight";
  info.n_dims = static_cast<uint32_t>(dims.size());
  std::copy(dims.begin(), dims.end(), info.dims.begin());
  return info;
}

uint64_t bytes(const char* type, std::vector<uint64_t> dims) {
  const auto result = tensor_bytes(*find_type_size(type), tensor(std::move(dims)));
  EXPECT_TRUE(result) << result.error().message;
  return result.value_or(0);
}

// By hand: rows x (scale of a row + blocks x bytes).
TEST(ForeignTypes, BytesOfATensor) {
  EXPECT_EQ(bytes("iq4_ks", {512, 3}), 3u * (4 + 2 * 136));
  EXPECT_EQ(bytes("iq2_kl", {256, 2, 5}), 10u * (2 + 86));
  EXPECT_EQ(bytes("iq1_s_r4", {64, 4}), 4u * (2 + 2 * 6));
  EXPECT_EQ(bytes("q8_KV", {64, 1}), 8u + 64);
  EXPECT_EQ(bytes("q6_0", {64, 2}), 2u * 52);
  EXPECT_EQ(bytes("q4_K", {256, 2}), 2u * 144);
}

TEST(ForeignTypes, GgmlTypesAgreeWithTheFileReader) {
  for (const GgmlTypeInfo& info : all_types()) {
    const TypeSize* const type = find_type_size(info.name);
    ASSERT_NE(type, nullptr) << info.name;
    EXPECT_EQ(type->ggml, info.type);
    const std::array<uint64_t, 2> dims = {1024, 24};
    EXPECT_EQ(bytes(info.name, {1024, 24}), *tensor_bytes(info.type, dims, "x")) << info.name;
  }
}

// The bits per weight that GGUF-Tool-Suite's table (BPW_TABLE) gives, row scales apart.
TEST(ForeignTypes, BitsPerWeightArePublishedOnes) {
  const std::map<std::string, double> published = {
      {"q8_k_r8", 8.0625}, {"q8_KV", 8},       {"iq6_k", 6.625},      {"q6_0", 6.5},      {"iq5_k", 5.5},    {"iq5_ks", 5.25},
      {"iq4_k", 4.5},      {"iq4_ks", 4.25},   {"iq4_kt", 4},         {"iq4_kss", 4},     {"iq3_k", 3.4375}, {"iq3_ks", 3.1875},
      {"iq3_kt", 3.125},   {"iq2_kl", 2.6875}, {"iq2_k", 2.375},      {"iq2_ks", 2.1875}, {"iq2_kt", 2.125}, {"iq2_bn", 2},
      {"iq1_m_r4", 1.75},  {"iq1_kt", 1.75},   {"iq1_bn", 1.625},     {"iq1_s_r4", 1.5},  {"q4_0_r8", 4.5},  {"iq4_xs_r8", 4.25},
      {"q2_k_r4", 2.625},  {"iq2_s", 2.5625},  {"iq3_xxs_r4", 3.0625}};
  for (const auto& [name, bits] : published) {
    ASSERT_NE(find_type_size(name), nullptr) << name;
    EXPECT_EQ(find_type_size(name)->bits_per_weight(), bits) << name;
  }
}

// What the tensor maps of GLM-4.5-Air give for 1,408 rows of 4,096: the blocks alone, without the scales of rows.
TEST(ForeignTypes, BlocksAgreeWithPublishedMaps) {
  const std::map<std::string, uint64_t> maps = {{"iq1_bn", 1171456},    {"iq1_kt", 1261568}, {"iq1_m_r4", 1261568}, {"iq2_bn_r4", 1441792},
                                                {"iq2_ks", 1576960},    {"iq2_kl", 1937408}, {"iq3_ks", 2297856},   {"iq4_kss", 2883584},
                                                {"iq5_ks_r4", 3784704}, {"q8_k_r8", 5812224}};
  for (const auto& [name, blocks] : maps)
    EXPECT_EQ(bytes(name.c_str(), {4096, 1408}), blocks + 1408u * find_type_size(name)->row_bytes) << name;
}

TEST(ForeignTypes, NamesAreUniqueInAnyCase) {
  std::set<std::string> names;
  for (const TypeSize& type : all_type_sizes()) EXPECT_TRUE(names.insert(lower_ascii(type.name)).second) << type.name;
  EXPECT_EQ(find_type_size("Q8_kv")->name, "q8_KV");
  EXPECT_EQ(find_type_size("Q4_K")->name, "q4_K");
  EXPECT_EQ(find_type_size("q4_K_M"), nullptr);
}

TEST(ForeignTypes, AllRowsAndTypesOfPublishedTablesAreKnown) {
  const std::filesystem::path root = ASSAY_SOURCE_DIR "/../shared/data/measured";
  size_t rows = 0;
  for (const char* model : {"GLM-4.5-Air", "Qwen3-4B-Instruct-2507", "Qwen3.5-0.8B", "Qwen3.5-35B-A3B"}) {
    const auto source = open_file((root / model / "group0/kld_results.csv").string());
    if (!source) continue;
    const auto table = read_published_table(**source);
    ASSERT_TRUE(table) << table.error().message;
    for (const PublishedRow& row : table->rows) EXPECT_NE(find_type_size(row.type), nullptr) << row.type;
    rows += table->rows.size();
  }
  if (rows == 0) GTEST_SKIP() << "no published tables in " << root;
}

TEST(ForeignTypes, FaultsAreNamed) {
  const auto ragged = tensor_bytes(*find_type_size("iq4_ks"), tensor({300, 4}));
  ASSERT_FALSE(ragged);
  EXPECT_THAT(ragged.error().message, HasSubstr("rows of 300; iq4_ks stores blocks of 256"));
  const auto few = tensor_bytes(*find_type_size("q4_k_r4"), tensor({256, 6}));
  ASSERT_FALSE(few);
  EXPECT_THAT(few.error().message, HasSubstr("6 rows; q4_k_r4 interleaves 4"));
  EXPECT_THAT(unknown_type("x", "iq4_kz").value().message, HasSubstr("did you mean iq4_k"));
  EXPECT_THAT(unknown_type("x", "Q4_K_M").value().message, HasSubstr("mix of types"));
  EXPECT_EQ(unknown_type("x", "iq4_kz").value().code, ErrorCode::kBadInput);
}

}  // namespace
}  // namespace assay
