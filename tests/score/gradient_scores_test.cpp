#include "assay/score/gradient_scores.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "assay/base/random.h"
#include "assay/score/gradient_kernels.h"

namespace assay {
namespace {

const Hyper kHyper;
const ScoreContext kContext{kHyper, 1, 0};

// Two windows of three scored positions over a matrix of two weights.
const std::vector<float> kWeights = {2, -4}, kMean = {0.5f, -0.25f}, kSquares = {3, 5}, kChange = {0.1f, 0.2f};

double value_of(const std::unique_ptr<GradientScore>& score, std::span<const float> weights = kWeights) {
  const MatrixView matrix{"blk.0.ffn_up.weight", role_of("blk.0.ffn_up.weight"), 1, weights.size(), weights, {}};
  const GradientView gradient{2, 3, kMean, kSquares, nullptr};
  return score->value(matrix, gradient, GgmlType::kQ4_0, kChange, kContext).value();
}

constexpr double kFloat = 1e-6;  // 0.1f is not 0.1

TEST(GradientScores, ByHand) {
  EXPECT_NEAR(value_of(taylor1_score()), 0.05 - 0.05, kFloat);
  EXPECT_NEAR(value_of(taylor1_absolute_score()), 0.05 + 0.05, kFloat);
  // F = squares * 3 scored / 2 windows
  EXPECT_NEAR(value_of(taylor2_score()), 0.5 * 1.5 * (3 * 0.01 + 5 * 0.04), kFloat);
  EXPECT_NEAR(value_of(taylor2_true_fisher_score()), 0.5 * 1.5 * (3 * 0.01 + 5 * 0.04), kFloat);
  EXPECT_NEAR(value_of(taylor12_score()), value_of(taylor1_score()) + value_of(taylor2_score()), kFloat);
  EXPECT_DOUBLE_EQ(value_of(fisher_score()), 3 + 5);
  EXPECT_DOUBLE_EQ(value_of(fisher_pruning_score()), 0.5 * 1.5 * (3 * 4 + 5 * 16));
}

struct FixedOutputs : OutputSource {
  std::vector<std::vector<float>> g = {{1, 2}, {0, -3}}, y = {{0.5f, -1}, {7, 2}};
  Result<OutputGradients> window(size_t index) override { return OutputGradients{g[index], y[index]}; }
};

TEST(GradientScores, OutputFisherByHand) {
  FixedOutputs outputs;
  const MatrixView matrix{"blk.0.ffn_up.weight", role_of("blk.0.ffn_up.weight"), 1, 2, kWeights, {}};
  const GradientView gradient{2, 3, {}, {}, &outputs};
  EXPECT_DOUBLE_EQ(output_fisher_score()->value(matrix, gradient, GgmlType::kQ4_0, kChange, kContext).value(), 0.25 + 4 + 0 + 36);
}

TEST(GradientScores, LlmMqKeepsTheLargestAndRoundsTheRest) {
  // 400 weights: two are exact (0.5 %); the others' groups span 0 .. 3, two bits have steps of 1.
  std::vector<float> weights(400, 0);
  weights[1] = 3;
  weights[2] = 1.25f;
  weights[5] = -50;  // exact
  weights[129] = 3;
  weights[300] = 0.6f;
  weights[301] = 3;
  weights[390] = 40;  // exact: alone in no way in its group of 16
  const std::vector<float> error = llm_mq_error(weights, 2);
  std::vector<float> expected(400, 0);
  expected[2] = 0.25f;
  expected[300] = 0.6f - 1;
  for (size_t i = 0; i < error.size(); ++i) EXPECT_NEAR(error[i], expected[i], 1e-6) << i;
  const std::vector<float> finer = llm_mq_error(weights, 4);  // steps of 0.2
  EXPECT_NEAR(finer[2], 0.05, 1e-6);
  EXPECT_NEAR(finer[300], 0, 1e-6);
  // With no exact weight an outlier widens its group.
  EXPECT_NEAR(llm_mq_error(std::vector<float>{0, 1, 30}, 2)[1], 1, 1e-6);
  // Ties at the limit: no more than the share stays exact.
  const std::vector<float> ties(400, 1);
  EXPECT_EQ(llm_mq_error(ties, 2), std::vector<float>(400, 0));
  EXPECT_NEAR(value_of(llm_mq_score(2), std::vector<float>{0, 3}), 0, 1e-9);
}

TEST(GradientScores, EachIsDeclared) {
  std::set<std::string_view> names;
  for (const auto& score : gradient_scores()) {
    const ScoreInfo info = score->info();
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_TRUE(info.needs_text && info.needs_gradients) << info.name;
    EXPECT_FALSE(info.what.empty() || info.source.empty() || info.unit == "1") << info.name;
    EXPECT_TRUE(score->needs().any());
    EXPECT_TRUE(!score->needs().rows || info.by_type) << info.name;
    EXPECT_EQ(score->labels() == GradientLabels::kDrawn, info.name.find("true") != std::string_view::npos) << info.name;
  }
  EXPECT_EQ(names.size(), 13u);
}

TEST(GradientKernels, EqualPlainSumsOnAnyThreads) {
  constexpr size_t kCount = 200'003;  // four blocks, the last one ragged
  std::vector<float> a(kCount), b(kCount), c(kCount);
  CounterRandom random(7, 0);
  for (size_t i = 0; i < kCount; ++i) {
    a[i] = static_cast<float>(random.next_normal());
    b[i] = static_cast<float>(random.next_normal());
  }
  double dot = 0, absolute = 0, square = 0, both = 0;
  for (size_t i = 0; i < kCount; ++i) {
    const double x = a[i], y = b[i];
    dot += x * y;
    absolute += std::fabs(x * y);
    square += x * y * y;
    both += x * y * x * y;
  }
  const DotSums one = dot_sums(a, b, 1), many = dot_sums(a, b, 5);
  EXPECT_EQ(one.signed_sum, many.signed_sum);
  EXPECT_EQ(one.absolute_sum, many.absolute_sum);
  EXPECT_NEAR(one.signed_sum, dot, 1e-9 * absolute);
  EXPECT_NEAR(one.absolute_sum, absolute, 1e-9 * absolute);
  EXPECT_NEAR(weighted_square(a, b), square, 1e-9 * absolute);
  EXPECT_NEAR(squared_products(a, b), both, 1e-9 * both);
  add_products(2, a, b, c);
  add_products(-0.5, a, b, c);
  for (const size_t i : {size_t{0}, size_t{70'001}, kCount - 1}) EXPECT_NEAR(c[i], 1.5 * a[i] * b[i], 1e-5);
  EXPECT_NEAR(absolute_sum(c), 1.5 * absolute, 1e-6 * absolute);
  EXPECT_EQ(dot_sums({}, {}).signed_sum, 0);
}

}  // namespace
}  // namespace assay
