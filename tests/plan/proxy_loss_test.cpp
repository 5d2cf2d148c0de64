#include "assay/plan/proxy_loss.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace assay {
namespace {

using T = GgmlType;

TensorInfo tensor(const std::string& name, uint64_t rows) {
  TensorInfo info;
  info.name = name;
  info.n_dims = 2;
  info.dims = {256, rows, 1, 1};
  return info;
}

// Three blocks of attention and feed-forward and the embedding.
ModelStructure structure() {
  std::vector<TensorInfo> tensors = {tensor("token_embd.weight", 8)};
  for (int layer = 0; layer < 3; ++layer) {
    tensors.push_back(tensor("blk." + std::to_string(layer) + ".attn_k.weight", 1));
    tensors.push_back(tensor("blk." + std::to_string(layer) + ".ffn_up.weight", 4));
  }
  return *model_structure(tensors);
}

TEST(ProxyLoss, IsTheProductOfItsParts) {
  const ModelStructure model = structure();
  const T types[] = {T::kIQ3_S, T::kQ4_K, T::kQ8_0};
  std::map<std::string, ProxyFacts> facts;
  facts["layer.1.attn"] = {0.9, 0.7, {{T::kQ4_K, 0.07}}};
  const auto proxy = ProxyLoss::make(model, types, facts, {.kurtosis = true});
  ASSERT_TRUE(proxy) << proxy.error().message;
  // By hand: 23 x 256 weights in 7 groups; attn_k 1.5; the middle of three layers 1; ln(1 + 1 / (23 / 7)); 0.9; .07 (1 + .1 x .2).
  const double mean = 23.0 / 7;
  const size_t attention = 3;  // embedding, layer 0's two, then this
  EXPECT_EQ(model.groups[attention].name, "layer.1.attn");
  EXPECT_DOUBLE_EQ(proxy->at(attention, 1), 1.5 * 1.0 * std::log(1 + 1 / mean) * 0.9 * (0.07 * 1.02));
  EXPECT_DOUBLE_EQ(proxy->at(attention, 2), 1.5 * std::log(1 + 1 / mean) * 0.9 * (0.005 * 1.02));
  // Not analysed: 0.5; outside the blocks depth is 1.5; the last layer's is 1 + 2 x 1/4; dense feed-forward has no role weight.
  EXPECT_DOUBLE_EQ(proxy->at(0, 0), 1.8 * 1.5 * std::log(1 + 8 / mean) * 0.5 * 0.08);
  EXPECT_DOUBLE_EQ(proxy->at(6, 0), 1.0 * 1.5 * std::log(1 + 4 / mean) * 0.5 * 0.08);
}

TEST(ProxyLoss, WholeAndIncrementalEvaluationsAgree) {
  const ModelStructure model = structure();
  const T types[] = {T::kIQ2_XXS, T::kIQ3_S, T::kQ4_K, T::kQ8_0};
  const auto proxy = ProxyLoss::make(model, types, {}, {.squared = true});
  ASSERT_TRUE(proxy);
  std::vector<uint8_t> choice(proxy->groups(), 0);
  double loss = proxy->loss(choice), sum = 0;
  for (size_t g = 0; g < choice.size(); ++g) sum += proxy->at(g, 0);
  EXPECT_NEAR(loss, sum, 1e-15);
  for (size_t g = 0; g < choice.size(); ++g)
    for (const uint8_t to : std::initializer_list<uint8_t>{2, 1, 3}) {
      loss += proxy->change(g, choice[g], to);
      choice[g] = to;
      EXPECT_NEAR(loss, proxy->loss(choice), 1e-14);
    }
  EXPECT_DOUBLE_EQ(proxy->at(0, 1) / proxy->at(0, 2), 0.08 * 0.08 / (0.04 * 0.04));
  const auto largest = proxy->contributions(choice, 3);
  ASSERT_EQ(largest.size(), 3u);
  EXPECT_GE(largest[0].loss, largest[1].loss);
  EXPECT_EQ(largest[0].group, 0u);
  EXPECT_DOUBLE_EQ(largest[0].loss, largest[0].weight * largest[0].error);
}

TEST(ProxyLoss, MakesATableForThePlanner) {
  std::vector<TensorInfo> tensors = structure().tensors;
  TensorInfo norm;
  norm.name = "blk.0.attn_norm.weight";
  norm.dims[0] = 256;
  tensors.push_back(norm);
  const auto model = model_structure(tensors);
  const T types[] = {T::kQ4_K, T::kQ8_0};
  const auto proxy = ProxyLoss::make(*model, types, {});
  ASSERT_TRUE(proxy);
  const DamageTable table = proxy->table(*model);
  EXPECT_EQ(table.rows.size(), 7u);  // no row for the norm
  EXPECT_EQ(table.rows[1].name, "layer.0.attn");
  EXPECT_THAT(table.rows[1].tensors, testing::ElementsAre("blk.0.attn_k.weight"));
  EXPECT_EQ(table.rows[1].cells[1].damage, proxy->at(1, 1));
}

TEST(ProxyLoss, RefusesFactsThatDoNotFit) {
  const ModelStructure model = structure();
  const T types[] = {T::kQ4_K};
  const auto other = ProxyLoss::make(model, types, {{"layer.7.attn", {}}});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::kMismatch);
  EXPECT_FALSE(ProxyLoss::make(model, types, {{"layer.0.attn", {NAN, 0.5, {}}}}));
  EXPECT_FALSE(ProxyLoss::make(model, types, {{"layer.0.attn", {0.5, 0.5, {{T::kQ4_K, -1}}}}}));
  EXPECT_FALSE(ProxyLoss::make(model, {}, {}));
}

}  // namespace
}  // namespace assay
