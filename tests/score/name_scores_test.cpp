#include "assay/score/name_scores.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace assay {
namespace {

using testing::ElementsAre;

const NameScore& score(std::string_view name) {
  for (const NameScore& known : name_scores())
    if (known.name == name) return known;
  ADD_FAILURE() << name;
  return name_scores()[0];
}

NamedTensor in_block(int layer, const std::string& role, uint64_t elements = 10) {
  return named_tensor("blk." + std::to_string(layer) + "." + role + ".weight", elements);
}

NamedModel dense(int layers) {
  std::vector<NamedTensor> tensors = {named_tensor("token_embd.weight", 100)};
  for (int layer = 0; layer < layers; ++layer)
    for (const char* role : {"attn_v", "ffn_down"}) tensors.push_back(in_block(layer, role));
  return NamedModel(tensors);
}

std::vector<double> by_layer(std::string_view name, const NamedModel& model, const std::string& role) {
  std::vector<double> values;
  for (int layer = 0; layer < model.layers(); ++layer) values.push_back(score(name).value(in_block(layer, role), model));
  return values;
}

TEST(NameScores, ReadsNames) {
  const NamedTensor tensor = named_tensor("blk.12.ffn_down_shexp.weight", 7);
  EXPECT_EQ(tensor.role, "ffn_down_shexp");
  EXPECT_EQ(tensor.layer, 12);
  EXPECT_EQ(tensor.elements, 7u);
  EXPECT_EQ(named_tensor("blk.3.ssm_a", 1).role, "ssm_a");
  EXPECT_EQ(named_tensor("blk.3.ssm_dt.bias", 1).role, "ssm_dt");
  EXPECT_EQ(named_tensor("blk.46.nextn.eh_proj.weight", 1).role, "nextn.eh_proj");
  EXPECT_EQ(named_tensor("output.weight", 1).role, "output");
  EXPECT_EQ(named_tensor("output.weight", 1).layer, -1);
  EXPECT_EQ(named_tensor("blk.x.attn_q.weight", 1).layer, -1);
  EXPECT_EQ(named_tensor("", 1).role, "");
  EXPECT_EQ(named_tensor("blk.3.attention", 1).role, "attention");
  EXPECT_EQ(named_tensor("blk.3", 1).name, "blk.3");
  EXPECT_EQ(named_tensor("blk.3", 1).role, "layer");
  EXPECT_EQ(named_tensor("blk.3", 1).layer, 3);
  EXPECT_EQ(named_tensor("blk.2147483647.attn_q.weight", 1).layer, -1);
}

// Five layers: depth 0, 1/4, 1/2, 3/4, 1.
TEST(NameScores, DepthByHand) {
  const NamedModel model = dense(5);
  EXPECT_THAT(by_layer("early", model, "attn_q"), ElementsAre(1, 0.75, 0.5, 0.25, 0));
  EXPECT_THAT(by_layer("ends", model, "attn_q"), ElementsAre(1, 0.5, 0, 0.5, 1));
  EXPECT_THAT(by_layer("quarters", model, "attn_q"), ElementsAre(1, 1, 0, 1, 1));  // 5/4 layers at each end, begun ones count
  EXPECT_THAT(by_layer("quarters", dense(8), "attn_q"), ElementsAre(1, 1, 0, 0, 0, 0, 1, 1));
  for (const char* name : {"early", "ends", "quarters"}) {
    EXPECT_EQ(score(name).value(named_tensor("output.weight", 1), model), 1) << name;
    EXPECT_GE(score(name).value(in_block(0, "attn_q"), dense(1)), 1) << name << ": a single layer";
  }
}

// methods.md 4.2.6: of 24 layers 0 1 2, 5 8 11 14 17 20, 21 22 23 get Q6_K.
TEST(NameScores, MoreBitsByHand) {
  const NamedModel model = dense(24);
  std::set<int> more;
  for (int layer = 0; layer < 24; ++layer)
    if (score("more-bits").value(in_block(layer, "ffn_down"), model) == 6.5625) more.insert(layer);
  EXPECT_THAT(more, ElementsAre(0, 1, 2, 5, 8, 11, 14, 17, 20, 21, 22, 23));
  EXPECT_EQ(score("more-bits").value(in_block(0, "attn_q"), model), 4.5);
  EXPECT_EQ(score("more-bits").value(in_block(3, "attn_qkv"), model), 5.5);
  EXPECT_EQ(score("more-bits").value(named_tensor("token_embd.weight", 1), model), 6.5625) << "tied";
  const std::vector<NamedTensor> untied = {named_tensor("token_embd.weight", 1), named_tensor("output.weight", 1)};
  EXPECT_EQ(score("more-bits").value(untied[0], NamedModel(untied)), 4.5);
  EXPECT_EQ(score("more-bits").value(untied[1], NamedModel(untied)), 6.5625);
}

// Every fourth layer has attention: i counts those, so the second of eight (layer 7) is not among the first eighth; experts' down
// matrices of a layer share its place.
TEST(NameScores, MoreBitsCountsTheLayersThatHaveThem) {
  std::vector<NamedTensor> tensors;
  for (int layer = 0; layer < 32; ++layer) {
    if (layer % 4 == 3) tensors.push_back(in_block(layer, "attn_v"));
    tensors.push_back(in_block(layer, "ffn_down_exps"));
    tensors.push_back(in_block(layer, "ffn_down_shexp"));
  }
  const NamedModel model(tensors);
  std::set<int> values, downs;
  for (const NamedTensor& tensor : tensors)
    if (model.more_bits(tensor)) (tensor.role == "attn_v" ? values : downs).insert(tensor.layer);
  EXPECT_THAT(values, ElementsAre(3, 15, 27, 31));  // i = 0, 3, 6, 7 of 8
  EXPECT_THAT(downs, ElementsAre(0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31));
  EXPECT_FALSE(model.more_bits(in_block(3, "attn_q")));
  EXPECT_FALSE(model.more_bits(in_block(4, "attn_v"))) << "no such tensor there";
}

// Depth of 3 layers: 1.5, 1, 1.5. attn_q 1.8, experts' gate 0.7, a dense feed-forward is not in the table.
TEST(NameScores, RampByHand) {
  const NamedModel model = dense(3);
  EXPECT_THAT(by_layer("ramp", model, "attn_q"), ElementsAre(1.8 * 1.5, 1.8, 1.8 * 1.5));
  EXPECT_THAT(by_layer("ramp-role", model, "ffn_gate_exps"), ElementsAre(0.7, 0.7, 0.7));
  EXPECT_THAT(by_layer("ramp", model, "ffn_down"), ElementsAre(1.5, 1, 1.5));
  EXPECT_EQ(score("ramp").value(named_tensor("output.weight", 1), model), 2.0 * 1.5);
  EXPECT_NEAR(ramp_depth_weight(in_block(1, "x"), dense(5)), 1.125, 1e-15);
}

// 10 weights of attn_q (1.8) and 30 of attn_k (1.5): sizes add up, weights average.
TEST(NameScores, PoolsByHand) {
  const NamedModel model = dense(3);
  const std::vector<NamedTensor> both = {in_block(1, "attn_q", 10), in_block(1, "attn_k", 30)};
  EXPECT_EQ(pooled_value(score("size"), both, model), 40);
  EXPECT_NEAR(pooled_value(score("ramp-role"), both, model), (10 * 1.8 + 30 * 1.5) / 40, 1e-15);
}

}  // namespace
}  // namespace assay
