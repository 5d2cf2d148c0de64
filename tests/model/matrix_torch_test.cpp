#include <gtest/gtest.h>

#include "assay/model/gated_product.h"
#include "assay/model/matrix.h"
#include "assay/model/row_kernels.h"

namespace assay {
namespace {

class RuleOfRows : public testing::TestWithParam<Compute> {};

// A row's product must not depend on how many rows go with it, where it stands, or the threads.
TEST_P(RuleOfRows, ARowDoesNotDependOnItsNeighbours) {
  at::NoGradGuard no_grad;
  at::manual_seed(1);
  // The demo model's shapes, Qwen2.5-0.5B's, and odd ones.
  const int64_t shapes[][2] = {{96, 64}, {256, 256}, {512, 256}, {896, 896}, {128, 896}, {100, 60}, {4864, 896}, {896, 4864}, {130, 77}};
  for (const auto& [out, in] : shapes) {
    const at::Tensor x = at::randn({600, in});
    const Matrix matrix = Matrix::pack(at::randn({out, in}), GetParam());
    at::set_num_threads(2);
    const at::Tensor all = matrix.multiply(x);
    for (const int threads : {1, 2, 3}) {
      at::set_num_threads(threads);
      for (const int64_t rows : {1, 3, 8, 31, 64, 255, 512})
        for (const int64_t begin : {0, 7, 64})
          EXPECT_TRUE(matrix.multiply(x.narrow(0, begin, rows)).equal(all.narrow(0, begin, rows)))
              << out << "x" << in << " rows " << rows << " at " << begin << " threads " << threads;
    }
  }
}

TEST_P(RuleOfRows, AddingDoesNotDependOnNeighboursEither) {
  at::NoGradGuard no_grad;
  at::manual_seed(2);
  const at::Tensor x = at::randn({512, 256}), start = at::randn({512, 128});
  const Matrix matrix = Matrix::pack(at::randn({128, 256}), GetParam());
  at::Tensor all = start.clone();
  matrix.multiply_add(x, all);
  for (const int64_t rows : {1, 9, 64, 300}) {
    at::Tensor some = start.narrow(0, 5, rows).clone();
    matrix.multiply_add(x.narrow(0, 5, rows), some);
    EXPECT_TRUE(some.equal(all.narrow(0, 5, rows))) << rows;
  }
}

INSTANTIATE_TEST_SUITE_P(Computes, RuleOfRows, testing::Values(Compute::kFloat32, Compute::kBFloat16),
                         [](const auto& computed) { return std::string(name_of(computed.param)); });

TEST(Matrix, Float32EqualsTheDoubleProduct) {
  at::manual_seed(3);
  const at::Tensor x = at::randn({64, 300}), w = at::randn({70, 300});
  const at::Tensor exact = at::linear(x.to(at::kDouble), w.to(at::kDouble));
  EXPECT_LT((Matrix::pack(w, Compute::kFloat32).multiply(x) - exact).abs().max().item<double>(), 2e-4);
}

// Only the operands are rounded: against the double product of the rounded operands the result is exact to float32.
TEST(Matrix, Bf16RoundsTheOperandsOnly) {
  at::manual_seed(4);
  const at::Tensor x = at::randn({64, 300}), w = at::randn({70, 300});
  const auto rounded = [](const at::Tensor& t) { return t.to(at::kBFloat16).to(at::kDouble); };
  const at::Tensor exact = at::linear(rounded(x), rounded(w));
  EXPECT_LT((Matrix::pack(w, Compute::kBFloat16).multiply(x) - exact).abs().max().item<double>(), 2e-4);
}

// Of the distance only: what x and x_base share is not rounded.
TEST(Matrix, DeviationsRoundTheDistanceOnly) {
  if (!deviations_supported(at::kCPU)) GTEST_SKIP() << "this CPU lacks the instructions";
  at::manual_seed(6);
  for (const int64_t in : {300, 77}) {
    const at::Tensor x_base = at::randn({50, in}) * 100, x = x_base.repeat({3, 1}) + at::randn({150, in}) * 0.01, w = at::randn({70, in});
    const Matrix matrix = Matrix::pack(w, Compute::kDeviations);
    const at::Tensor y_base = matrix.multiply(x_base);
    EXPECT_TRUE(y_base.equal(Matrix::pack(w, Compute::kFloat32).multiply(x_base)));
    const at::Tensor y = matrix.add_deviation(round_deviation(x, x_base), y_base);
    const auto rounded = [](const at::Tensor& t) { return t.to(at::kBFloat16).to(at::kDouble); };
    const at::Tensor distance = at::linear(rounded(x - x_base.repeat({3, 1})), rounded(w));
    EXPECT_LT((y - y_base.repeat({3, 1}).to(at::kDouble) - distance).abs().max().item<double>(), 4e-4);  // one rounding of sums near 3,000
    EXPECT_TRUE(matrix.add_deviation(round_deviation(x_base, x_base), y_base).equal(y_base));
  }
}

TEST(Matrix, ADeviationDoesNotDependOnItsNeighbours) {
  if (!deviations_supported(at::kCPU)) GTEST_SKIP() << "this CPU lacks the instructions";
  at::manual_seed(7);
  const at::Tensor x_base = at::randn({130, 256}), x = x_base.repeat({5, 1}) + at::randn({650, 256}) * 0.1;
  const Matrix matrix = Matrix::pack(at::randn({150, 256}), Compute::kDeviations);
  const at::Tensor y_base = matrix.multiply(x_base);
  at::set_num_threads(2);
  const at::Tensor all = matrix.add_deviation(round_deviation(x, x_base), y_base);
  at::set_num_threads(1);
  for (int64_t stream = 0; stream < 5; ++stream) {
    const at::Tensor own = x.narrow(0, stream * 130, 130);
    EXPECT_TRUE(matrix.add_deviation(round_deviation(own, x_base), y_base).equal(all.narrow(0, stream * 130, 130))) << stream;
  }
  at::set_num_threads(2);
}

// The fused gate, up and activation give the bytes of the separate steps, with and without a base.
TEST(GatedProduct, EqualsTheSeparateSteps) {
  at::manual_seed(8);
  const at::Tensor w_gate = at::randn({150, 96}) * 0.2, w_up = at::randn({150, 96}), x = at::randn({400, 96});
  for (const Compute compute : {Compute::kFloat32, Compute::kBFloat16}) {
    const Matrix gate = Matrix::pack(w_gate, compute), up = Matrix::pack(w_up, compute);
    if (!gate.panels().defined()) continue;
    const at::Tensor fused = gated_product(gate.prepare(x), gate.panels(), up.panels(), 150, nullptr);
    const at::Tensor separate = silu_multiply(gate.multiply(x), up.multiply(x));
    EXPECT_TRUE(fused.equal(separate.to(fused.scalar_type()))) << name_of(compute);
  }
  if (!deviations_supported(at::kCPU)) GTEST_SKIP() << "this CPU lacks AVX512-BF16";
  const Matrix gate = Matrix::pack(w_gate, Compute::kDeviations), up = Matrix::pack(w_up, Compute::kDeviations);
  const at::Tensor x_base = x.narrow(0, 0, 200);
  GatedBase base{gate.multiply(x_base), up.multiply(x_base), {}};
  base.activated = silu_multiply(base.gate, base.up);
  const at::Tensor distance = round_deviation(x, x_base);
  const at::Tensor separate = silu_multiply(gate.add_deviation(distance, base.gate), up.add_deviation(distance, base.up));
  const at::Tensor fused = gated_product(distance, gate.deviation_panels(), up.deviation_panels(), 150, &base);
  EXPECT_TRUE(fused.equal(round_deviation(separate, base.activated)));
}

TEST(RowKernels, EqualTheirDefinitionsInDouble) {
  at::manual_seed(5);
  const at::Tensor x = at::randn({33, 96}) * 3, up = at::randn({33, 96}), weight = at::randn({96}), bias = at::randn({96});
  const at::Tensor d = x.to(at::kDouble);
  const auto difference = [](const at::Tensor& a, const at::Tensor& b) { return (a.to(at::kDouble) - b).abs().max().item<double>(); };
  EXPECT_LT(difference(rms_norm(x, weight, 1e-5), d * (d.square().mean(-1, true) + 1e-5).rsqrt() * weight), 1e-5);
  EXPECT_LT(difference(layer_norm(x, weight, bias, 1e-5), at::layer_norm(d, {96}, weight.to(at::kDouble), bias.to(at::kDouble), 1e-5)),
            1e-5);
  EXPECT_LT(difference(silu_multiply(x, up), at::silu(d) * up), 1e-5);
  EXPECT_LT(difference(gelu_tanh(x), at::gelu(d, "tanh")), 1e-5);
}

TEST(RowKernels, RopeTurnsPairsByTheAngleOfTheirPosition) {
  const at::Tensor angle = at::arange(4, at::kFloat).unsqueeze(1) * at::tensor({1.0f, 0.1f}).unsqueeze(0);
  at::Tensor x = at::ones({2, 1, 6});
  const at::Tensor positions = at::tensor({0, 3}, at::kInt);
  at::Tensor half = x.clone();
  rope_(x, positions, angle.cos(), angle.sin(), RopePairs::kInterleaved);
  rope_(half, positions, angle.cos(), angle.sin(), RopePairs::kHalfSplit);
  EXPECT_TRUE(x[0].equal(at::ones({1, 6})));
  const double c = std::cos(3.0), s = std::sin(3.0);
  EXPECT_NEAR(x[1][0][0].item<double>(), c - s, 1e-6);
  EXPECT_NEAR(x[1][0][1].item<double>(), c + s, 1e-6);
  EXPECT_NEAR(half[1][0][2].item<double>(), c + s, 1e-6);
  EXPECT_EQ(x[1][0][5].item<double>(), 1.0);  // beyond the rotated part
}

}  // namespace
}  // namespace assay
