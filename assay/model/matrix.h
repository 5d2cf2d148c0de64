// A weight matrix ready for products without gradient, in the compute mode of the run.
// Rule of rows (CPU): a row of the result depends on that row of x only - not on the other rows, their number or the threads.
// float32: float32 throughout. bfloat16: only the two operands are rounded; products are summed and returned in float32. Which product
// computes it is chosen once per process by what the CPU has, never by timing (docs/numerics.md).
// deviations: both forms are kept, float32 for x in full and bfloat16 for the distance of x to another input whose product is known.
// Non-goals: gradients (use at::linear on the plain weight), integer products.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "assay/model/compute.h"

namespace assay {

class Matrix {
 public:
  Matrix() = default;
  // `weight`: [out, in] float32, any device; kept in the packed form on `device`.
  static Matrix pack(const at::Tensor& weight, Compute compute, at::Device device = at::kCPU);

  // x: [rows, in] float32 contiguous -> [rows, out] float32.
  at::Tensor multiply(const at::Tensor& x) const;
  // y [rows, out] += x W^T, in place; y contiguous.
  void multiply_add(const at::Tensor& x, at::Tensor& y) const;

  // y_base + deviation W^T in float32 sums, for `deviation` of round_deviation; y_base: [rows, out], repeated for n streams of as many
  // rows. Only where the matrix was packed for deviations.
  at::Tensor add_deviation(const at::Tensor& deviation, const at::Tensor& y_base) const;

  // For several products of the same x: x rounded once to the operand type (x itself in float32).
  at::Tensor prepare(const at::Tensor& x) const;
  at::Tensor multiply_prepared(const at::Tensor& x) const;

  // [panels, in, 64] of the type of prepared operands, and of deviations; undefined where the product is not made of panels.
  at::Tensor panels() const { return on_panels() ? packed_ : at::Tensor(); }
  const at::Tensor& deviation_panels() const { return packed_changes_; }

  bool defined() const { return packed_.defined(); }
  int64_t out() const { return out_; }
  int64_t in() const { return in_; }
  int64_t bytes() const { return out_ * in_ * bytes_of(product_, compute_); }
  // What a weight takes once packed: 4, or 2 where bf16 operands are multiplied as such, or 6 for deviations.
  static int64_t bytes_per_weight(Compute compute, at::Device device) { return bytes_of(product_for(compute, device), compute); }

 private:
  // kPanels*: our own kernels (panel_product.h). kOneDnn: its packed float32. kMklBf16: MKL's bf16 x bf16 -> float32 on matrix units.
  // kOperator: ATen's linear. A float32 product of a bf16 matrix gets rounded operands.
  enum class Product : uint8_t { kPanelsFloat32, kPanelsBf16, kOneDnn, kMklBf16, kOperator };
  static Product product_for(Compute compute, at::Device device);
  static int64_t bytes_of(Product product, Compute compute);
  bool on_panels() const { return product_ == Product::kPanelsFloat32 || product_ == Product::kPanelsBf16; }

  at::Tensor packed_;
  at::Tensor packed_changes_;  // bfloat16 panels, for deviations
  int64_t out_ = 0;
  int64_t in_ = 0;
  Compute compute_ = Compute::kFloat32;
  Product product_ = Product::kOperator;
};

// The CPU and device can multiply deviations; where not, Network::load refuses them by name.
bool deviations_supported(at::Device device);
// x - x_base rounded to bfloat16, the operand of Matrix::add_deviation. x: n streams of rows, [n * rows, in]; x_base: [rows, in].
at::Tensor round_deviation(const at::Tensor& x, const at::Tensor& x_base);

}  // namespace assay
