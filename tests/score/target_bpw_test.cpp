// The error of PR 15550 by hand: rows, roles, mean inputs, limits of the weights, trimmed mean; and that no scale matters.
#include <gtest/gtest.h>

#include <cmath>

#include "assay/base/random.h"
#include "assay/score/data_free_scores.h"

namespace assay {
namespace {

const Hyper kPlain;
constexpr double kSum = 1e-12;  // doubles added in another order

double value_of(const MatrixView& matrix, std::span<const float> change, const Hyper& hyper = kPlain) {
  const auto score = target_bpw_score();
  return dynamic_cast<const ChangeScore&>(*score).value(matrix, GgmlType::kQ4_K, change, {hyper, 1, 1}).value();
}

MatrixView view(const char* tensor, const std::vector<float>& values, uint64_t columns, const std::vector<float>& importance,
                const std::vector<float>& means) {
  return {tensor, role_of(tensor), values.size() / columns, columns, values, importance, means};
}

TEST(TargetBpw, ByHand) {
  const std::vector<float> values = {1, 2, 3, 1}, change = {0.5, 0, 0, -1}, weights = {2, 1}, means = {3, -1};
  // Rows: e = (0.5, 0), energy 2 + 4; e = (0, -1), energy 18 + 1.
  const double first = 0.5 / 6, second = 1.0 / 19;
  EXPECT_NEAR(value_of(view("blk.0.ffn_up.weight", values, 2, weights, {}), change), first + second, kSum);
  // With mean inputs: (1.5)^2 and (1)^2 more.
  EXPECT_NEAR(value_of(view("blk.0.ffn_up.weight", values, 2, weights, means), change), (0.5 + 2.25) / 6 + 2.0 / 19, kSum);
  // Without an imatrix every weight is 1.
  EXPECT_NEAR(value_of(view("blk.0.ffn_up.weight", values, 2, {}, {}), change), 0.25 / 5 + 1.0 / 10, kSum);
  // Roles.
  EXPECT_NEAR(value_of(view("blk.0.ffn_down.weight", values, 2, weights, {}), change), 6 * (first + second), kSum);
  EXPECT_NEAR(value_of(view("output.weight", values, 2, weights, {}), change), 3 * (first + second), kSum);
  EXPECT_NEAR(value_of(view("blk.0.attn_v.weight", values, 2, weights, {}), change), 1.25 * (first + second), kSum);
  EXPECT_NEAR(value_of(view("token_embd.weight", values, 2, weights, {}), change), first + second, kSum);
  Hyper tied;
  tied.tied = true;
  EXPECT_NEAR(value_of(view("token_embd.weight", values, 2, weights, {}), change, tied), 2.5 * (first + second), kSum);
}

TEST(TargetBpw, AttentionInputsGoByAngle) {
  const std::vector<float> values = {1, 2, 3, 1}, change = {0.5, 0, 0, -1}, weights = {2, 1};
  // (1, 2) -> (1.5, 2): products 2 x 1.5 + 4; (3, 1) -> (3, 0): 18.
  const double first = 1 - 7 / std::sqrt(6 * 8.5), second = 1 - 18 / std::sqrt(19.0 * 18);
  for (const char* role : {"attn_q", "attn_k", "attn_qkv"})
    EXPECT_NEAR(value_of(view(("blk.0." + std::string(role) + ".weight").c_str(), values, 2, weights, {}), change), first + second, kSum);
  // A change along the row is none.
  const std::vector<float> along = {1, 2, 3, 1};
  EXPECT_NEAR(value_of(view("blk.0.attn_q.weight", values, 2, weights, {}), along), 0, 1e-9);
}

// 100 rows of equal error but one: it is left out, at the other end one of the equals.
TEST(TargetBpw, TheWorstRowInAHundredIsTrimmed) {
  std::vector<float> values(200, 1), change(200, 0.5F);
  change[20] = change[21] = 50;
  EXPECT_NEAR(value_of(view("blk.0.ffn_up.weight", values, 2, {}, {}), change), 100 * 0.25, kSum);
}

// 101 columns: the largest weight counts as the second largest.
TEST(TargetBpw, WeightsAreLimited) {
  std::vector<float> values(101, 1), change(101, 0), weights(101, 1), limited(101, 1);
  change[0] = 1;
  weights[0] = 1e6;
  EXPECT_NEAR(value_of(view("blk.0.ffn_up.weight", values, 101, weights, {}), change),
              value_of(view("blk.0.ffn_up.weight", values, 101, limited, {}), change), kSum);
}

// More than 4096 rows: those in between are not looked at.
TEST(TargetBpw, RowsAreSampledEvenly) {
  std::vector<float> values(2 * 8192, 1), change(2 * 8192, 0);
  for (size_t r = 0; r < 8192; r += 2) change[2 * r] = change[2 * r + 1] = 1;
  EXPECT_NEAR(value_of(view("blk.0.ffn_up.weight", values, 2, {}, {}), change), 8192, kSum * 8192);
}

TEST(TargetBpw, ScalesDoNotMatter) {
  std::vector<float> values(64 * 32), change(64 * 32), scaled, more;
  CounterRandom random(3, 0);
  for (float& v : values) v = static_cast<float>(random.next_normal());
  for (float& v : change) v = static_cast<float>(0.1 * random.next_normal());
  for (const float v : values) scaled.push_back(8 * v);
  for (const float v : change) more.push_back(8 * v);
  const std::string up = "blk.0.ffn_up.weight";
  EXPECT_NEAR(value_of(view(up.c_str(), values, 32, {}, {}), change), value_of(view(up.c_str(), scaled, 32, {}, {}), more), 1e-9);
  for (float& v : more) v *= 2;
  EXPECT_GT(value_of(view(up.c_str(), scaled, 32, {}, {}), more), value_of(view(up.c_str(), values, 32, {}, {}), change));
}

}  // namespace
}  // namespace assay
