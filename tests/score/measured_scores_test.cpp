// Measured scores by hand: which changed models each names, and what it makes of made-up effects.
#include "assay/score/measured_scores.h"

#include <gtest/gtest.h>

#include <cmath>

#include "assay/quant/codec.h"
#include "assay/score/level_gradient.h"
#include "assay/score/sampled_effects.h"
#include "tests/probe/small_shape.h"

namespace assay {
namespace {

using T = GgmlType;

// Plans of the small model; Q4_0 fits all matrices but ffn_down, whose rows have 48 weights.
struct Plan {
  ModelShape shape = testing_variants::small_shape();
  std::vector<LayerNumbers> layers;
  std::vector<T> types = {T::kQ4_0, T::kF16};
  VariantPlan plan{shape, {}, {}, types, 7};

  Plan() {
    for (int layer = -1; layer < 3; ++layer) layers.push_back({layer, {}, {}});
    for (const TensorInfo& tensor : shape.tensors()) {
      if (tensor.n_dims != 2) continue;
      const TensorRole role = role_of(tensor.name);
      layers[static_cast<size_t>(role.layer + 1)].matrices.push_back({tensor.name, role, tensor.rows(), tensor.row_length()});
    }
    plan.layers = layers;
    plan.types_of = [this](const std::string& tensor) {
      std::vector<T> fitting;
      for (const T type : types)
        if (row_fits(type, shape.find(tensor)->row_length())) fitting.push_back(type);
      return fitting;
    };
  }
};

const VariantScore& variants_of(const std::unique_ptr<Score>& score) { return dynamic_cast<const VariantScore&>(*score); }

MeasuredEffect effect(std::vector<double> kls) {
  MeasuredEffect made;
  for (const double kl : kls) made.kl += kl / static_cast<double>(kls.size());
  made.kls = std::move(kls);
  return made;
}

TEST(ErrorOverWindows, ByHand) {
  EXPECT_EQ(error_over_windows(std::vector{5.0}), 0);
  EXPECT_NEAR(error_over_windows(std::vector{1.0, 3.0}), 1, 1e-12);  // sd sqrt(2), over sqrt(2)
}

TEST(DequantizeOne, IsTheDifferenceToEverythingWithItsPairedError) {
  const Plan made;
  const auto score = dequantize_one_score();
  const auto list = variants_of(score).variants(made.plan);
  ASSERT_TRUE(list) << list.error().message;
  const size_t matrices = 21 + 2, at_q4 = matrices - 3;  // with embedding and head
  ASSERT_EQ(list->size(), 1 + at_q4 + 1 + matrices);
  EXPECT_EQ(list->at(0).weights.size(), at_q4);
  EXPECT_EQ(list->at(1).weights.size(), at_q4 - 1);
  for (const Variant& variant : *list) EXPECT_TRUE(check(variant, made.shape));
  std::vector<MeasuredEffect> effects(list->size(), effect({1, 2}));
  effects[0] = effect({4, 8});
  effects[1] = effect({3, 9});  // without the first matrix: 1 less here, 1 more there
  std::vector<std::string> notes;
  const auto rows = variants_of(score).rows(made.plan, effects, notes);
  ASSERT_EQ(rows.size(), matrices);
  ASSERT_EQ(rows[0].cells.size(), 2u);
  EXPECT_EQ(list->at(2).weights[0].tensor, rows[0].name);  // the second is left out there
  EXPECT_DOUBLE_EQ(find_cell(rows[0], T::kQ4_0)->value, 0);
  EXPECT_DOUBLE_EQ(find_cell(rows[0], T::kQ4_0)->standard_error, 1);
  EXPECT_DOUBLE_EQ(find_cell(rows[1], T::kQ4_0)->value, 6 - 1.5);
  EXPECT_DOUBLE_EQ(find_cell(rows[1], T::kF16)->value, 0);
  for (const ScoreRow& row : rows)
    EXPECT_EQ(find_cell(row, T::kQ4_0) == nullptr, row.name.find("ffn_down") != std::string::npos) << row.name;
}

TEST(Removal, NamesBlocksAndHalves) {
  const Plan made;
  std::vector<std::string> notes;
  const auto whole = layer_removal_score(), half = half_removal_score();
  const auto blocks = variants_of(whole).variants(made.plan), halves = variants_of(half).variants(made.plan);
  ASSERT_EQ(blocks->size(), 3u);
  ASSERT_EQ(halves->size(), 6u);
  EXPECT_EQ(halves->at(3).schedule[0].first, 1);
  EXPECT_EQ(halves->at(3).schedule[0].part, ScheduleEdit::Part::kFfn);
  std::vector<MeasuredEffect> effects;
  for (int i = 0; i < 6; ++i) effects.push_back(effect({1.0 * i, 2.0 * i}));
  const auto block_rows = variants_of(whole).rows(made.plan, std::span(effects).first(3), notes);
  const auto half_rows = variants_of(half).rows(made.plan, effects, notes);
  ASSERT_EQ(block_rows.size(), 3u);
  EXPECT_EQ(block_rows[2].name, "blk.2");
  EXPECT_EQ(block_rows[2].tensors.size(), 7u);
  EXPECT_DOUBLE_EQ(block_rows[2].cells[0].value, 3);
  ASSERT_EQ(half_rows.size(), 6u);
  for (const ScoreRow& row : half_rows)
    for (const std::string& tensor : row.tensors) EXPECT_EQ(row.name, group_of(tensor, Grouping::kGroup));
  EXPECT_EQ(half_rows[3].name, "blk.1.ffn");
  EXPECT_DOUBLE_EQ(half_rows[3].cells[0].value, 4.5);
  EXPECT_EQ(half_rows[2].tensors.size() + half_rows[3].tensors.size(), block_rows[1].tensors.size());
  EXPECT_EQ(half_rows[2].elements + half_rows[3].elements, block_rows[1].elements);
}

// Every code's change of perplexity is a number here, signed as its step.
TEST(Qpsa, IsTheMeanOverSidesThenSamples) {
  const Plan made;
  for (const auto& score : {qpsa_level_score(3), qpsa_byte_score(3)}) {
    const auto list = variants_of(score).variants(made.plan);
    ASSERT_TRUE(list) << list.error().message;
    const size_t per_layer = 5;  // attn_q, k, v, output and ffn_up have codes; ffn_down's rows do not hold any, ffn_gate is F32
    ASSERT_EQ(list->size(), 3 * per_layer * 3 * 2);
    std::vector<MeasuredEffect> effects(list->size());
    std::map<int, int> seen;
    for (size_t v = 0; v < list->size(); ++v) {
      EXPECT_TRUE(check(list->at(v), made.shape));
      const int layer = role_of(list->at(v).weights[0].tensor).layer, number = seen[layer]++;
      effects[v].ppl_change = list->at(v).weights[0].step * (layer + 1.0);
      if (layer == 1 && number == 0) effects[v].ppl_change = 31;                // with the other side: 16.5
      if (layer == 2 && number == 0) effects[v] = {}, effects[v].empty = true;  // the other side counts alone
      if (layer == 2 && (number == 2 || number == 3)) effects[v].ppl_change = 1e9, effects[v].finite = false;  // a sample less
    }
    std::vector<std::string> notes;
    const auto rows = variants_of(score).rows(made.plan, effects, notes);
    ASSERT_EQ(rows.size(), 3u);
    EXPECT_EQ(rows[0].name, "blk.0");
    EXPECT_DOUBLE_EQ(rows[0].cells[0].value, 1);
    EXPECT_NEAR(rows[1].cells[0].value, (14 * 2 + 16.5) / 15, 1e-12);
    EXPECT_NEAR(rows[1].cells[0].standard_error, 14.5 / 15, 1e-12);
    EXPECT_DOUBLE_EQ(rows[2].cells[0].value, 3);
    ASSERT_EQ(notes.size(), 1u);
    EXPECT_EQ(notes[0], "3 samples of each matrix, both ways; 1 of 90 sides change nothing, 2 give logits that are not finite");
  }
  EXPECT_NE(qpsa_level_score()->info().name, qpsa_byte_score()->info().name);
}

TEST(Qpsa, AModelWithoutCodesHasNoValueAndIsToldWhatToDo) {
  Plan made;
  std::vector<TensorInfo> tensors = made.shape.tensors();
  for (TensorInfo& tensor : tensors) tensor.type = T::kBF16;
  const ModelShape plain(made.shape.hyper(), tensors);
  const VariantPlan plan{plain, made.layers, made.plan.types_of, made.types, 7};
  const auto score = qpsa_level_score();
  EXPECT_TRUE(variants_of(score).variants(plan)->empty());
  std::vector<std::string> notes;
  EXPECT_TRUE(variants_of(score).rows(plan, {}, notes).empty());
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find("assay quantize"), std::string::npos);
}

// 32 codes of Q8_0 under a scale of 0.5: 127 moves down only, the others both ways.
TEST(LevelGradient, ByHand) {
  std::vector<std::byte> block(34);
  block[1] = std::byte{0x38};  // half 0.5
  block[2] = std::byte{127};
  std::vector<float> gradient(32, 0);
  gradient[0] = -3;
  gradient[5] = 2;
  auto made = level_gradient(T::kQ8_0, block, gradient);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->weights, 32u);
  EXPECT_DOUBLE_EQ(made->sum, 0.5 * (3 + 2));
  EXPECT_DOUBLE_EQ(made->mean(), 2.5 / 32);
  block[1] = std::byte{0};  // a scale of 0: no code moves anything
  made = level_gradient(T::kQ8_0, block, gradient);
  EXPECT_EQ(made->weights, 0u);
  EXPECT_EQ(made->mean(), 0);
  EXPECT_FALSE(level_gradient(T::kF32, std::vector<std::byte>(128), gradient));
}

}  // namespace
}  // namespace assay
