// PQI and second order on the bundled model with real formats, embedding too: what is predicted against the loss measured at both ends.
#include <gtest/gtest.h>

#include <cmath>

#include "assay/job/inputs.h"
#include "assay/quant/codec.h"
#include "assay/score/pqi.h"
#include "assay/score/second_order.h"

namespace assay {
namespace {

using T = GgmlType;

struct Demo {
  OpenModel model;
  ProbeSet set;
  Demo() {
    apply_settings(RunSettings{});
    model = open_model(ASSAY_SOURCE_DIR "/demo/reference-9m", RunSettings{}, silent_progress()).value();
    TextInput text{ASSAY_SOURCE_DIR "/demo/evaluation.txt", {}};
    text.windows.chunks = 2;
    set = open_windows(text, model).value();
  }
  QuantizationPath path(T type) const {
    auto far = std::make_shared<StoredMatrices>();
    for (const TensorInfo& tensor : model.checkpoint->tensors()) {
      if (tensor.n_dims != 2) continue;
      StoredMatrix matrix;
      matrix.type = type;
      matrix.bytes.resize(tensor_bytes(type, {tensor.dims.data(), tensor.n_dims}, tensor.name).value());
      EXPECT_TRUE(encode(type, model.checkpoint->read_float(tensor).value(), tensor.row_length(), matrix.bytes));
      far->emplace(tensor.name, std::move(matrix));
    }
    QuantizationPath made;
    made.base = model.checkpoint;
    made.far = far;
    made.windows = set.windows;
    return made;
  }
};

TEST(PqiSlow, ClosesOnTheDemoModel) {
  const Demo demo;
  const QuantizationPath path = demo.path(T::kQ2_K);
  const auto coarse = pqi(path, {PathRule::kMidpoint, 4, true}), fine = pqi(path, {PathRule::kMidpoint, 8, true});
  ASSERT_TRUE(coarse && fine);
  ASSERT_EQ(fine->matrices.size(), 85u);  // 12 blocks of 7 and the tied embedding
  EXPECT_LT(std::fabs(fine->closure_error()), 0.01 * std::fabs(fine->change()));
  EXPECT_NEAR(coarse->closure_error() / fine->closure_error(), 4, 0.6);
  const auto gauss = pqi(path, {PathRule::kGauss, 4, false});
  ASSERT_TRUE(gauss);
  EXPECT_LT(std::fabs(gauss->closure_error()), 0.002 * std::fabs(gauss->change()));
  EXPECT_NEAR(gauss->total.contribution, fine->total.contribution, 0.01 * std::fabs(fine->change()));
}

// The claim of methods.md 3.5: true second order explains what a quantization costs. At four bits and more, on this model it does.
TEST(PqiSlow, SecondOrderExplainsSmallSteps) {
  const Demo demo;
  for (const T type : {T::kQ4_K, T::kQ6_K}) {
    const QuantizationPath path = demo.path(type);
    PathGradients spent;
    const auto before = loss_at(path, 0, spent), after = loss_at(path, 1, spent);
    const auto order = second_order(path);
    ASSERT_TRUE(before && after && order);
    const double change = after->loss - before->loss;
    EXPECT_NEAR(order->total.first + order->total.second, change, 0.1 * std::fabs(change)) << find_type(type)->name;
    EXPECT_LT(order->total.error, 0.02 * std::fabs(order->total.second)) << find_type(type)->name;
    EXPECT_GT(order->total.second, 0) << find_type(type)->name;
  }
}

}  // namespace
}  // namespace assay
