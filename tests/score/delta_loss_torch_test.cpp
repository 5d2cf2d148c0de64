// Delta-loss against gradients of a quantized model made without a path, and what it bounds.
#include <gtest/gtest.h>

#include <cmath>

#include "assay/probe/loss_gradient.h"
#include "assay/score/path_scores.h"
#include "tests/score/pass_case.h"

namespace assay {
namespace {

using namespace testing_path;

TEST(DeltaLoss, EqualsTheGradientOfTheQuantizedModel) {
  PassCase model;
  const PassRows rows = model.rows(*delta_loss_score());
  const QuantizationPath path = model.path(GgmlType::kQ4_0);
  const auto quantized = *interpolated_checkpoint(path.base, path.far, 1);
  const auto network = *Network::load(quantized, {});
  size_t seen = 0;
  const auto compare = [&](int, const std::string& tensor, const at::Tensor& gradient) -> Status {
    const std::vector<float> before = *path.base->read_float(*path.base->find(tensor));
    const std::vector<float> after = *quantized->read_float(*quantized->find(tensor));
    double sum = 0;
    for (size_t i = 0; i < before.size(); ++i)
      sum += std::fabs(static_cast<double>(gradient.const_data_ptr<float>()[i]) * (static_cast<double>(after[i]) - before[i]));
    const ScoreCell* cell = cell_of(rows, tensor, GgmlType::kQ4_0);
    EXPECT_EQ(cell != nullptr, path.far->contains(tensor)) << tensor;
    if (cell == nullptr) return {};
    ++seen;
    EXPECT_NEAR(cell->value, sum, 1e-4 * sum) << tensor;
    return {};
  };
  const auto loss = loss_gradient(*network, model.windows, compare);
  ASSERT_TRUE(loss) << loss.error().message;
  EXPECT_EQ(seen, 3u * 6);
}

// A sum without signs is at least the slope of the loss at the far end; both ends of the model are in it.
TEST(DeltaLoss, BoundsTheSlopeAtTheQuantizedModel) {
  for (const bool tied : {false, true}) {
    PassCase model(tied);
    const PassRows rows = model.rows(*delta_loss_score());
    const QuantizationPath path = model.path(GgmlType::kQ4_0);
    PathGradients spent;
    constexpr double kStep = 0.05;
    const double slope = (loss_at(path, 1 + kStep, spent)->loss - loss_at(path, 1 - kStep, spent)->loss) / (2 * kStep);
    EXPECT_GT(sum_of(rows, GgmlType::kQ4_0), std::fabs(slope));
    EXPECT_GT(cell_of(rows, "token_embd.weight", GgmlType::kQ4_0)->value, cell_of(rows, "token_embd.weight", GgmlType::kQ8_0)->value);
    EXPECT_TRUE(has_note(rows, "activations"));
    EXPECT_TRUE(has_note(rows, "Q4_0: cannot hold blk.0.ffn_down.weight"));
  }
}

TEST(DeltaLoss, TakesOneGradientPerTypeAndIsRepeatable) {
  PassCase model;
  EXPECT_DOUBLE_EQ(model.estimate(*delta_loss_score()), 2 * 3 * 2);
  EXPECT_DOUBLE_EQ(model.rows(*delta_loss_score()).forward_equivalents, 2 * 3 * 2);
  EXPECT_EQ(model.units.kept, 2u);
  expect_repeatable(delta_loss_score());
}

}  // namespace
}  // namespace assay
