// The terms of scores that are sums over weights: by hand, and that they add up to the value.
#include "assay/score/weight_values.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "assay/base/random.h"
#include "assay/score/data_free_scores.h"
#include "assay/score/gradient_scores.h"

namespace assay {
namespace {

const Hyper kHyper;
constexpr char kTensor[] = "blk.0.ffn_up.weight";
constexpr double kFloat = 1e-6;  // of the sum of sizes: terms are rounded to float32

// Large enough for several blocks of the loop.
struct Case {
  static constexpr uint64_t kRows = 300, kColumns = 700;
  std::vector<float> weights = normal(1), change = normal(2), mean = normal(3), squares = normal(4), importance = normal(5);
  MatrixView matrix{kTensor, role_of(kTensor), kRows, kColumns, weights, importance};
  GradientView gradient{2, 3, mean, squares, nullptr};

  Case() {
    for (float& f : squares) f *= f;
    importance.resize(kColumns);
    for (float& f : importance) f *= f;
    matrix.importance = importance;
  }
  static std::vector<float> normal(uint64_t seed) {
    CounterRandom random(seed, 0);
    std::vector<float> values(kRows * kColumns);
    for (float& v : values) v = static_cast<float>(random.next_normal());
    return values;
  }
};

struct Terms {
  double value = 0;
  std::vector<float> terms;
};

// As a run asks for them.
Terms terms_of(const Score& score, const MatrixView& matrix, const GradientView& gradient, std::span<const float> change, int threads = 0) {
  const ScoreContext context{kHyper, 1, threads};
  Terms made{0, std::vector<float>(matrix.values.size())};
  if (const auto* one = dynamic_cast<const GradientScore*>(&score)) {
    made.value = one->value(matrix, gradient, GgmlType::kQ4_0, change, context).value();
    one->weight_values(matrix, gradient, change, context, made.terms);
  } else if (const auto* error = dynamic_cast<const ChangeScore*>(&score)) {
    made.value = error->value(matrix, GgmlType::kQ4_0, change, context).value();
    error->weight_values(matrix, change, context, made.terms);
  } else {
    const auto& plain = dynamic_cast<const MatrixScore&>(score);
    made.value = plain.value(matrix, context).value();
    plain.weight_values(matrix, context, made.terms);
  }
  return made;
}

std::vector<std::unique_ptr<Score>> scores_with_terms() {
  std::vector<std::unique_ptr<Score>> all;
  for (auto& score : gradient_scores())
    if (score->has_weight_values()) all.push_back(std::move(score));
  for (auto make : {weight_norm_score, weight_error_score, importance_error_score}) all.push_back(make());
  return all;
}

TEST(WeightValues, AddUpToTheValue) {
  const Case given;
  std::set<std::string_view> names;
  for (const auto& score : scores_with_terms()) {
    const std::string_view name = score->info().name;
    names.insert(name);
    EXPECT_TRUE(score->has_weight_values()) << name;
    const Terms made = terms_of(*score, given.matrix, given.gradient, given.change);
    double sum = 0, sizes = 0;
    for (const float term : made.terms) {
      sum += static_cast<double>(term);
      sizes += std::fabs(static_cast<double>(term));
    }
    EXPECT_GT(sizes, 0) << name;
    EXPECT_NEAR(sum, made.value, kFloat * sizes) << name;
    EXPECT_EQ(made.terms, terms_of(*score, given.matrix, given.gradient, given.change, 3).terms) << name;
  }
  EXPECT_EQ(names, (std::set<std::string_view>{"fisher", "fisher_pruning", "imatrix_error", "taylor1", "taylor12_fisher", "taylor1_abs",
                                               "taylor2_fisher", "taylor2_true_fisher", "true_fisher", "true_fisher_pruning",
                                               "weight_error", "weight_norm"}));
  for (const auto& score : {kurtosis_score(), two_bit_error_score(), random_score()}) EXPECT_FALSE(score->has_weight_values());
  EXPECT_FALSE(output_fisher_score()->has_weight_values());
}

// Two windows of three scored positions over a matrix of two weights.
TEST(WeightValues, ByHand) {
  const std::vector<float> weights = {2, -4}, mean = {0.5f, -0.25f}, squares = {3, 5}, change = {0.5f, 1}, importance = {10, 100};
  const MatrixView matrix{kTensor, role_of(kTensor), 1, 2, weights, importance};
  const GradientView gradient{2, 3, mean, squares, nullptr};
  const auto terms = [&](const std::unique_ptr<GradientScore>& score) { return terms_of(*score, matrix, gradient, change).terms; };
  using Values = std::vector<float>;
  EXPECT_EQ(terms(taylor1_score()), (Values{0.25f, -0.25f}));
  EXPECT_EQ(terms(taylor1_absolute_score()), (Values{0.25f, 0.25f}));
  EXPECT_EQ(terms(fisher_score()), squares);
  EXPECT_EQ(terms(taylor2_score()), (Values{0.5f * 1.5f * 3 * 0.25f, 0.5f * 1.5f * 5}));
  EXPECT_EQ(terms(taylor12_score()), (Values{0.25f + 0.5f * 1.5f * 3 * 0.25f, -0.25f + 0.5f * 1.5f * 5}));
  EXPECT_EQ(terms(true_fisher_pruning_score()), (Values{0.5f * 1.5f * 3 * 4, 0.5f * 1.5f * 5 * 16}));
  EXPECT_EQ(terms_of(*weight_norm_score(), matrix, gradient, change).terms, (Values{4, 16}));
  EXPECT_EQ(terms_of(*weight_error_score(), matrix, gradient, change).terms, (Values{0.25f, 1}));
  EXPECT_EQ(terms_of(*importance_error_score(), matrix, gradient, change).terms, (Values{2.5f, 100}));
}

}  // namespace
}  // namespace assay
