#include "assay/score/data_free_scores.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "assay/base/random.h"
#include "assay/score/weight_moments.h"

namespace assay {
namespace {

const Hyper kHyper;
const ScoreContext kContext{kHyper, 1, 0};

MatrixView view(std::string_view tensor, std::span<const float> values, uint64_t columns) {
  return {tensor, role_of(tensor), values.size() / columns, columns, values, {}};
}

double value_of(const std::unique_ptr<Score>& score, std::span<const float> values, const ScoreContext& context = kContext,
                std::string_view tensor = "blk.0.ffn_up.weight") {
  const auto* matrix = dynamic_cast<const MatrixScore*>(score.get());
  EXPECT_NE(matrix, nullptr);
  return matrix->value(view(tensor, values, values.size() / 2), context).value();
}

std::vector<float> gaussian(size_t count, uint64_t seed) {
  CounterRandom random(seed, 0);
  std::vector<float> values(count);
  for (float& v : values) v = static_cast<float>(random.next_normal());
  return values;
}

TEST(WeightMoments, ByHand) {
  const std::vector<float> values = {1, 2, 3, 6};
  const WeightMoments m = weight_moments(values, 1);
  EXPECT_DOUBLE_EQ(m.mean, 3);
  EXPECT_DOUBLE_EQ(m.m2, (4 + 1 + 0 + 9) / 4.0);
  EXPECT_DOUBLE_EQ(m.m4, (16 + 1 + 0 + 81) / 4.0);
  EXPECT_DOUBLE_EQ(m.sum_squares, 50);
  EXPECT_EQ(m.largest, 6);
  EXPECT_DOUBLE_EQ(excess_kurtosis(m), 24.5 / 12.25 - 3);
  EXPECT_NEAR(unbiased_kurtosis(m), 3.0 / 2 * (5 * -1 + 6), 1e-12);  // scipy.stats.kurtosis([1, 2, 3, 6], bias=False) = 1.5
}

TEST(WeightMoments, DoNotDependOnThreadsAndMeetTheGaussian) {
  const auto values = gaussian(300'000, 3);
  const WeightMoments one = weight_moments(values, 1), many = weight_moments(values, 7);
  EXPECT_EQ(one.m4, many.m4);
  EXPECT_EQ(one.mean, many.mean);
  EXPECT_NEAR(excess_kurtosis(one), 0, 5 * std::sqrt(24.0 / 300'000));
}

TEST(DataFreeScores, ControlsAreWhatTheySay) {
  const std::vector<float> values(8, 1);
  EXPECT_EQ(value_of(size_score(), values), 8);
  const double drawn = value_of(random_score(), values);
  EXPECT_EQ(drawn, value_of(random_score(), values));
  const ScoreContext other{kHyper, 2, 0};
  EXPECT_NE(drawn, value_of(random_score(), values, other));
  EXPECT_NE(drawn, value_of(random_score(), values, kContext, "blk.1.ffn_up.weight"));
}

TEST(DataFreeScores, WeightNormAndTwoBitErrorByHand) {
  const std::vector<float> values = {4, -1, 0.5, 3};
  EXPECT_DOUBLE_EQ(value_of(weight_norm_score(), values), 16 + 1 + 0.25 + 9);
  // scale 2: 4 -> 2 (clipped), -1 -> -0 (half to even), 0.5 -> 0, 3 -> 2 (1.5 rounds to 2, clipped to 1)
  EXPECT_DOUBLE_EQ(value_of(two_bit_error_score(), values), 4 + 1 + 0.25 + 1);
  EXPECT_EQ(value_of(two_bit_error_score(), std::vector<float>(4, 0)), 0);
}

TEST(DataFreeScores, ZdCountsBeyondOneDeviation) {
  // mean 0, unbiased deviation sqrt(20 / 3) = 2.58: two of four lie beyond
  EXPECT_DOUBLE_EQ(value_of(zd_score(), std::vector<float>{3, -3, 1, -1}), 0.5);
  EXPECT_NEAR(value_of(zd_score(), gaussian(200'000, 5)), 0.3173, 0.005);
  EXPECT_EQ(value_of(zd_score(), std::vector<float>(4, 2)), 0);
}

TEST(DataFreeScores, EwqByHand) {
  // softmax of {0, 0, log 2, log 2} is {1, 1, 2, 2} / 6
  const float two = std::log(2.0F);
  const double entropy = 2 * (std::log(6.0) / 6) + 2 * (std::log(3.0) / 3);
  EXPECT_NEAR(value_of(ewq_score(), std::vector<float>{0, 0, two, two}), entropy / 4 - 0.01, 1e-7);
  // Of equal weights it is the largest there is, log n; a shift of all weights changes nothing.
  EXPECT_NEAR(value_of(ewq_score(), std::vector<float>(16, 3.0F)), std::log(16.0) / 16 - 0.01, 1e-12);
}

// Scores of the shape of the weights do not change with their scale.
TEST(DataFreeScores, ShapeScoresIgnoreScale) {
  auto values = gaussian(4096, 9);
  values[7] = 30;
  std::vector<float> scaled = values;
  for (float& v : scaled) v *= 4;
  for (const auto& make : {kurtosis_score, zd_score}) EXPECT_DOUBLE_EQ(value_of(make(), values), value_of(make(), scaled));
  EXPECT_GT(value_of(kurtosis_score(), values), 3);
}

TEST(DataFreeScores, KurtBoostDoublesAJump) {
  // Twelve layers of one kurtosis, the seventh another: differences 0, ..., +d, -d, ..., whose deviation is d sqrt(2 / 11) = 0.43 d.
  const auto low = gaussian(4096, 1);
  auto high = low;
  high[0] = 40;
  const auto score = kurt_boost_score();
  const auto* boost = dynamic_cast<const WeightScore*>(score.get());
  std::vector<LayerNumbers> layers;
  for (int l = 0; l < 12; ++l) {
    const std::string name = "blk." + std::to_string(l) + ".ffn_up.weight";
    const MatrixView matrix = view(name, l == 6 ? high : low, 64);
    const LayerView layer{l, {&matrix, 1}};
    layers.push_back({l, {{name, matrix.role, matrix.rows, matrix.columns}}, boost->numbers(layer, kContext).value()});
  }
  const auto rows = boost->finish(layers, kContext);
  ASSERT_EQ(rows.size(), 12u);
  EXPECT_DOUBLE_EQ(rows[5].cells[0].value, layers[5].numbers[0]);
  EXPECT_DOUBLE_EQ(rows[6].cells[0].value, 2 * layers[6].numbers[0]);
  EXPECT_DOUBLE_EQ(rows[7].cells[0].value, 2 * layers[7].numbers[0]);  // the way down is a jump too, as published
  EXPECT_EQ(rows[6].name, "blk.6");
}

TEST(DataFreeScores, ErrorsOfATypeByHand) {
  const std::vector<float> weights = {1, 2, 3, 4}, change = {0.5, -1, 0, 2}, importance = {10, 1};
  MatrixView matrix = view("blk.0.ffn_up.weight", weights, 2);
  const auto plain = weight_error_score(), weighted = importance_error_score();
  const auto value = [&](const std::unique_ptr<Score>& score) {
    return dynamic_cast<const ChangeScore&>(*score).value(matrix, GgmlType::kQ4_K, change, kContext).value();
  };
  EXPECT_DOUBLE_EQ(value(plain), 0.25 + 1 + 4);
  matrix.importance = importance;
  EXPECT_DOUBLE_EQ(value(weighted), 2.5 + 1 + 4);
  const std::vector<float> ones = {1, 1};
  matrix.importance = ones;
  EXPECT_DOUBLE_EQ(value(weighted), value(plain));
}

}  // namespace
}  // namespace assay
