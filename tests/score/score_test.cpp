#include "assay/score/score.h"

#include <gtest/gtest.h>

namespace assay {
namespace {

using T = GgmlType;

ScoreRow row(const std::string& name, uint64_t elements, std::vector<ScoreCell> cells) {
  return {name, {name}, elements, std::move(cells)};
}

TEST(Score, PoolsByHand) {
  const std::vector<ScoreRow> rows = {
      row("blk.0.attn_q.weight", 10, {{T::kQ4_K, 1, 3}, {T::kQ8_0, 2, 0}}),
      row("token_embd.weight", 5, {{T::kQ4_K, 9, 0}}),
      row("blk.0.attn_k.weight", 30, {{T::kQ4_K, 5, 4}}),
      row("blk.0.ffn_up.weight", 60, {{T::kQ4_K, 7, 0}}),
  };
  const auto groups = pooled(rows, Grouping::kGroup, Pooling::kSum);
  ASSERT_EQ(groups.size(), 3u);
  EXPECT_EQ(groups[0].name, "blk.0.attention");
  EXPECT_EQ(groups[0].elements, 40u);
  EXPECT_EQ(groups[0].tensors.size(), 2u);
  ASSERT_EQ(groups[0].cells.size(), 1u);  // Q8_0 is not known of both
  EXPECT_DOUBLE_EQ(groups[0].cells[0].value, 6);
  EXPECT_DOUBLE_EQ(groups[0].cells[0].standard_error, 5);
  EXPECT_EQ(groups[1].name, "token_embd.weight");
  EXPECT_EQ(groups[2].name, "blk.0.ffn");
  const auto means = pooled(rows, Grouping::kGroup, Pooling::kMean);
  EXPECT_DOUBLE_EQ(means[0].cells[0].value, (10 * 1 + 30 * 5) / 40.0);
}

// Sums of sums are sums: by group and then by layer is by layer at once; the mean of equal values is that value.
TEST(Score, PoolingIsAssociative) {
  std::vector<ScoreRow> rows;
  for (int layer = 0; layer < 3; ++layer)
    for (const char* role : {"attn_q", "attn_v", "ffn_up", "ffn_down"})
      rows.push_back(row("blk." + std::to_string(layer) + "." + role + ".weight", 3, {{{}, 1.5 * layer, 0}}));
  const auto layers = pooled(rows, Grouping::kLayer, Pooling::kMean);
  ASSERT_EQ(layers.size(), 3u);
  for (int layer = 0; layer < 3; ++layer) EXPECT_DOUBLE_EQ(layers[static_cast<size_t>(layer)].cells[0].value, 1.5 * layer);
  EXPECT_DOUBLE_EQ(pooled(rows, Grouping::kLayer, Pooling::kSum)[2].cells[0].value, 12);
  const auto same = pooled(layers, Grouping::kLayer, Pooling::kMean);
  EXPECT_EQ(same[1].name, "blk.1");
  EXPECT_EQ(same[1].tensors.size(), 4u);
}

TEST(Score, ACellWithoutTypeServesEveryType) {
  const ScoreRow plain = row("a", 1, {{{}, 4, 0}}), typed = row("b", 1, {{T::kQ4_K, 5, 0}});
  EXPECT_EQ(find_cell(plain, T::kQ2_K)->value, 4);
  EXPECT_EQ(find_cell(typed, T::kQ4_K)->value, 5);
  EXPECT_EQ(find_cell(typed, T::kQ2_K), nullptr);
}

}  // namespace
}  // namespace assay
