#include "assay/study/outlier_taxonomy.h"

#include <gtest/gtest.h>

#include <numeric>

#include "assay/study/known_super_weights.h"

namespace assay {
namespace {

TaxonomyInput input(double kl, double tail, double flips, std::optional<double> interaction, std::optional<double> stability) {
  return {kl, tail, flips, interaction, stability};
}

TEST(OutlierTaxonomy, TheFirstRuleThatMatches) {
  const TaxonomyThresholds t;
  using L = OutlierLabel;
  // At the thresholds themselves each rule holds.
  EXPECT_EQ(label_of(input(0.02, 0, 0, {}, {}), t), L::kSuperWeight);
  EXPECT_EQ(label_of(input(0, 0.1, 0, {}, {}), t), L::kSuperWeight);
  EXPECT_EQ(label_of(input(0, 0, 0.05, {}, {}), t), L::kSuperWeight);
  EXPECT_EQ(label_of(input(0.02, 0, 0, 0.01, 0.5), t), L::kSuperWeight);  // before all others
  EXPECT_EQ(label_of(input(0.01, 0, 0, 0.01, 0.9), t), L::kShadowOutlier);
  EXPECT_EQ(label_of(input(0, 0, 0, 0.01, 0.9), t), L::kShadowOutlier);
  EXPECT_EQ(label_of(input(1e-4, 0, 0, 0.009, 0.5), t), L::kSilentStabilizer);
  EXPECT_EQ(label_of(input(1e-4, 0, 0, 0, 0.49), t), L::kUnderOutlier);
  EXPECT_EQ(label_of(input(1e-4, 0, 0, {}, {}), t), L::kUnderOutlier);
  EXPECT_EQ(label_of(input(1.1e-4, 0, 0, {}, 0.5), t), L::kObsoleteAnchor);
  EXPECT_EQ(label_of(input(0.019, 0.09, 0.049, 0.009, 0.49), t), L::kUnresolved);
}

TEST(OutlierTaxonomy, CountsUnderMovedThresholds) {
  const std::vector<TaxonomyInput> inputs = {input(0.03, 0, 0, {}, {}), input(0.01, 0, 0, {}, {}), input(2e-4, 0, 0, {}, {}),
                                             input(1e-5, 0, 0, {}, {})};
  const auto rows = sensitivity_of(inputs, {});
  ASSERT_EQ(rows.size(), 1 + 2 * taxonomy_thresholds().size());
  for (const TaxonomySensitivity& row : rows)
    EXPECT_EQ(std::accumulate(row.counts.begin(), row.counts.end(), uint64_t{0}), inputs.size()) << row.threshold;
  const auto counts = [&](const std::string& name) {
    return std::find_if(rows.begin(), rows.end(), [&](const auto& row) { return row.threshold == name; })->counts;
  };
  EXPECT_EQ(counts("as they are"), (LabelCounts{1, 0, 0, 1, 0, 2}));
  EXPECT_EQ(counts("super_kl x 3"), (LabelCounts{0, 0, 0, 1, 0, 3}));
  EXPECT_EQ(counts("super_kl / 3"), (LabelCounts{2, 0, 0, 1, 0, 1}));
  EXPECT_EQ(counts("quiet_kl x 3"), (LabelCounts{1, 0, 0, 2, 0, 1}));
}

TEST(KnownSuperWeights, ByTheWordsOfTheName) {
  EXPECT_EQ(published_super_weights("models/Mistral-7B-v0.1.Q8_0.gguf").size(), 1u);
  ASSERT_EQ(published_super_weights("meta-llama/Meta-Llama-3-8B").size(), 3u);
  EXPECT_EQ(published_super_weights("meta-llama/Meta-Llama-3-8B")[1].at.row, 1384u);
  EXPECT_EQ(published_super_weights("huggyllama/llama-7b")[0].at.column, 7003u);
  EXPECT_EQ(published_super_weights("OLMo-7B-0724-hf").size(), 4u);
  EXPECT_TRUE(published_super_weights("CodeLlama-7b").empty());
  EXPECT_TRUE(published_super_weights("Llama-2-7b").empty());
  EXPECT_TRUE(published_super_weights("Qwen3-8B").empty());
}

}  // namespace
}  // namespace assay
