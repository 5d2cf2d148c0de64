#include "assay/plan/presets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/plan/preset_models.h"

namespace assay {
namespace {

using preset_models::PresetModel;
using testing::HasSubstr;
using T = GgmlType;

const Preset& preset(const char* name) { return **find_preset(name); }

std::string described(const PresetModel& model, const char* name, bool imatrix) {
  return preset_models::describe(preset_recipe(preset(name), model.tensors(), preset_context(model.metadata(), imatrix)), model.tensors());
}

TEST(Presets, EveryObservationOfTheLibrary) {
  std::ifstream file(ASSAY_SOURCE_DIR "/tests/plan/preset_observations.txt");
  ASSERT_TRUE(file);
  PresetModel model;
  int compared = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("#")) continue;
    if (line.starts_with("model ")) {
      model = PresetModel::parse(line);
      continue;
    }
    SCOPED_TRACE(model.describe() + ": " + line);
    const size_t first = line.find(' '), second = line.find(' ', first + 1);
    const std::string name = line.substr(0, first), imatrix = line.substr(first + 1, second - first - 1), types = line.substr(second + 1);
    if (types == "refused") {
      EXPECT_TRUE(preset(name.c_str()).needs_importance);
      continue;
    }
    for (const bool with : {false, true}) {
      if (imatrix == (with ? "none" : "imatrix")) continue;
      EXPECT_EQ(described(model, name.c_str(), with), types);
      ++compared;
    }
  }
  // 19 models, 20 presets with and without imatrix; Q2_K_S without only for the three models whose rows hold no Q2_K.
  EXPECT_EQ(compared, 19 * 39 + 3);
}

TEST(Presets, HandComputedMixOfTwentyFourLayers) {
  // methods.md 4.2.6: more bits at layers 0-2, 5, 8, 11, 14, 17, 20-23.
  const PresetModel model{"llama", 24, 256, 512, 8, 8, 0, false};
  const std::string more = "3*Q6_K,2*Q4_K,1*Q6_K,2*Q4_K,1*Q6_K,2*Q4_K,1*Q6_K,2*Q4_K,1*Q6_K,2*Q4_K,1*Q6_K,2*Q4_K,4*Q6_K";
  EXPECT_EQ(described(model, "Q4_K_M", false), "all=Q4_K attn_v=" + more + " ffn_down=" + more + " output=Q6_K");
}

TEST(Presets, RowsOf896FallBack) {
  // Qwen2.5-0.5B: hidden 896 = 3.5 x 256, feed-forward 4864 = 19 x 256, tied, 14 heads on 2.
  const PresetModel model{"qwen2", 24, 896, 4864, 14, 2, 0, true};
  const Recipe recipe = preset_recipe(preset("Q4_K_M"), model.tensors(), preset_context(model.metadata(), false));
  EXPECT_EQ(recipe.types.at("token_embd.weight"), T::kQ8_0);
  EXPECT_EQ(recipe.types.at("blk.0.attn_q.weight"), T::kQ5_0);
  EXPECT_EQ(recipe.types.at("blk.0.attn_v.weight"), T::kQ8_0);
  EXPECT_EQ(recipe.types.at("blk.3.attn_v.weight"), T::kQ5_0);
  EXPECT_EQ(recipe.types.at("blk.0.ffn_down.weight"), T::kQ6_K);
  EXPECT_EQ(recipe.types.at("blk.3.ffn_down.weight"), T::kQ4_K);
  EXPECT_FALSE(recipe.types.contains("blk.0.attn_norm.weight"));
}

TEST(Presets, FallbackOfATypeByItself) {
  EXPECT_EQ(fallback_type(T::kQ4_K, 512), T::kQ4_K);
  EXPECT_EQ(fallback_type(T::kQ4_K, 96), T::kQ5_0);
  EXPECT_EQ(fallback_type(T::kIQ2_XXS, 96), T::kIQ4_NL);
  EXPECT_EQ(fallback_type(T::kQ6_K, 40), T::kF16);
  EXPECT_EQ(fallback_type(T::kQ8_0, 40), T::kF16);
  EXPECT_EQ(fallback_type(T::kF32, 7), T::kF32);
}

TEST(Presets, PrunedLayersShiftTheValueMatricesOnly) {
  // Observed: 24 layers, four pruned. attn_v counts the 20 that are left, the thresholds of ffn_down stay those of 24.
  const PresetModel full{"llama", 24, 256, 512, 8, 8, 0, false}, left{"llama", 20, 256, 512, 8, 8, 0, false};
  const Recipe recipe = preset_recipe(preset("Q4_K_M"), left.tensors(), preset_context(full.metadata(), false));
  std::vector<int> value, down;
  for (int layer = 0; layer < 20; ++layer) {
    if (recipe.types.at("blk." + std::to_string(layer) + ".attn_v.weight") == T::kQ6_K) value.push_back(layer);
    if (recipe.types.at("blk." + std::to_string(layer) + ".ffn_down.weight") == T::kQ6_K) down.push_back(layer);
  }
  EXPECT_THAT(value, testing::ElementsAre(0, 1, 4, 7, 10, 13, 16, 17, 18, 19));
  EXPECT_THAT(down, testing::ElementsAre(0, 1, 2, 5, 8, 11, 14, 17));
}

TEST(Presets, ContextReadsPerLayerHeadCounts) {
  Metadata metadata = PresetModel{"llama", 2, 256, 512, 8, 8, 0, false}.metadata();
  metadata.set("llama.attention.head_count_kv", MetaValue::i32s({2, 8}));
  const PresetContext context = preset_context(metadata, true);
  EXPECT_EQ(context.heads, 8u);
  EXPECT_EQ(context.kv_heads, 2u);
  EXPECT_EQ(context.blocks, 2u);
  EXPECT_TRUE(context.has_imatrix);
}

TEST(Presets, NamesAndFileTypes) {
  EXPECT_EQ(preset("q4_k_m").file_type, 15u);
  EXPECT_EQ(preset("BF16").file_type, 32u);
  EXPECT_EQ(file_type_of(T::kQ4_K), 15u);
  EXPECT_EQ(file_type_of(T::kQ2_K), 10u);
  EXPECT_EQ(file_type_of(T::kIQ3_S), 26u);
  EXPECT_EQ(file_type_of(T::kF16), 1u);
  const auto unknown = find_preset("Q4_K");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kUsage);
  EXPECT_THAT(unknown.error().message, HasSubstr("Q4_K_M"));
}

}  // namespace
}  // namespace assay
