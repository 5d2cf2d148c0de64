#include "assay/study/attention_config.h"

#include <gtest/gtest.h>

namespace assay {
namespace {

Result<AttentionConfig> parse(const std::string& text) { return parse_attention_config(text, true, "c.yaml"); }

TEST(AttentionConfig, ShippedConfigsAreRead) {
  for (const char* name : {"attention_demo", "attention_gpt2", "attention_qwen3-1.7b"}) {
    const auto config = read_attention_config(std::string(ASSAY_SOURCE_DIR "/studies/") + name + ".yaml");
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->name, name);
    EXPECT_EQ(config->bases.size(), 5u);
    // What is judged by default is what the shipped files say.
    const auto defaults = default_attention_criteria();
    ASSERT_EQ(config->criteria.size(), defaults.size());
    for (size_t i = 0; i < defaults.size(); ++i) {
      EXPECT_EQ(config->criteria[i].name, defaults[i].name);
      EXPECT_EQ(config->criteria[i].statistic, defaults[i].statistic);
      EXPECT_EQ(config->criteria[i].rule, defaults[i].rule);
      EXPECT_EQ(config->criteria[i].threshold, defaults[i].threshold);
    }
  }
  // The source's protocol (methods.md 2.11).
  const auto gpt2 = read_attention_config(ASSAY_SOURCE_DIR "/studies/attention_gpt2.yaml");
  EXPECT_EQ(gpt2->layers, (std::vector<LayerRange>{{9, 11}}));
  EXPECT_EQ(gpt2->ranks, (std::vector<int>{1, 2, 4, 8, 16, 32}));
  EXPECT_EQ(gpt2->windows, 30u);
  EXPECT_EQ(gpt2->ctx, 256u);
  EXPECT_EQ(gpt2->window, WindowRule::kFull);
  EXPECT_EQ(gpt2->basis_windows, 4u);
  EXPECT_EQ(gpt2->basis_from, BasisSource::kEvaluation);
  EXPECT_EQ(gpt2->seed, 42u);
}

TEST(AttentionConfig, EachFaultIsNamedAndItsControlReads) {
  ASSERT_TRUE(
      parse("{layers: 1-2, sets: [together, heads], top_k: [2], ranks: [1, 8], bases: [residual, random], random_draws: 2, basis_from: "
            "evaluation, "
            "windows: 3, basis_windows: 2, diagnostic_windows: 1, ctx: 64, window: llama.cpp, noise: 0.1, compare_rank: 8, context: 100, "
            "seed: 1}"));
  const std::pair<const char*, const char*> faults[] = {
      {"{rank: [1]}", "rank"},
      {"{ranks: [0]}", "ranks[0]"},
      {"{ranks: [1, 1]}", "ranks[1]"},
      {"{ranks: []}", "ranks"},
      {"{top_k: [0]}", "top_k[0]"},
      {"{top_k: [2.5]}", "top_k[0]"},
      {"{bases: [value]}", "bases[0]"},
      {"{sets: [all]}", "sets[0]"},
      {"{basis_from: train}", "basis_from"},
      {"{window: half}", "window"},
      {"{layers: 4-2}", "4-2"},
      {"{windows: 0}", "windows"},
      {"{basis_windows: -1}", "basis_windows"},
      {"{ctx: 2}", "ctx"},
      {"{noise: x}", "noise"},
      {"{random_draws: 0}", "random_draws"},
      {"{criteria: [{name: a, statistic: b}]}", "criteria[0]"},
  };
  for (const auto& [text, place] : faults) {
    const auto config = parse(text);
    ASSERT_FALSE(config) << text;
    EXPECT_NE(config.error().message.find(place), std::string::npos) << config.error().message;
  }
}

TEST(AttentionConfig, RanksFitTheHead) {
  AttentionConfig config;
  EXPECT_EQ(*ranks_of(config, 64), (std::vector<int>{1, 2, 4, 8, 16, 32}));
  EXPECT_EQ(*ranks_of(config, 16), (std::vector<int>{1, 2, 4, 8}));
  config.ranks = {64, 4};
  EXPECT_EQ(*ranks_of(config, 64), (std::vector<int>{4, 64}));
  const auto refused = ranks_of(config, 32);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("rank 64"), std::string::npos) << refused.error().message;
  EXPECT_EQ(compare_rank_of(config, {1, 4, 16, 32}, 64), 16);
  EXPECT_EQ(compare_rank_of(config, {32, 64}, 64), 32);
  config.compare_rank = 4;
  EXPECT_EQ(compare_rank_of(config, {1, 4, 16, 32}, 64), 4);
}

TEST(AttentionConfig, QuickTakesLessOfWhatIsThere) {
  AttentionConfig config;
  config.ranks = {1, 2, 4, 8, 16, 32};
  config.windows = 5;
  make_quick(config);
  EXPECT_EQ(config.ranks, (std::vector<int>{1, 8, 32}));
  AttentionConfig compared;
  compared.ranks = {1, 2, 4, 8, 16, 32};
  compared.compare_rank = 16;
  make_quick(compared);
  EXPECT_EQ(compared.ranks, (std::vector<int>{1, 16, 32}));
  EXPECT_EQ(config.windows, 5u);
  EXPECT_EQ(config.basis_windows, 4u);
  EXPECT_EQ(config.top_k, std::vector<int>{2});
  EXPECT_EQ(config.bases, (std::vector<BasisKind>{BasisKind::kResidual, BasisKind::kValues, BasisKind::kRandom}));
}

TEST(AttentionConfig, ListsOfTheCommandLine) {
  EXPECT_EQ(*parse_counts("--ranks", "1,4,4"), (std::vector<int>{1, 4}));
  for (const char* list : {"", "0", "-1", "a", "1;2", "99999999999"}) EXPECT_FALSE(parse_counts("--ranks", list)) << list;
  EXPECT_EQ(*parse_bases("values,random"), (std::vector<BasisKind>{BasisKind::kValues, BasisKind::kRandom}));
  EXPECT_FALSE(parse_bases("pca"));
  EXPECT_EQ(*parse_layer_sets("subsets"), std::vector<LayerSets>{LayerSets::kSubsets});
  EXPECT_FALSE(parse_layer_sets("some"));
}

}  // namespace
}  // namespace assay
