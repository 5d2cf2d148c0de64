// A weight matrix ready for products without gradient, in the compute mode of the run.
// Rule of rows (CPU): a row of the result depends on that row of x only - not on the other rows, their number or the threads.
// float32: oneDNN packed weights, float32 throughout. bfloat16: only the two operands are rounded; products are summed and
// returned in float32. (MKL's plain sgemm and bf16-in-bf16-out linear break the rule; docs/numerics.md.)
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

  // For several products of the same x: x rounded once to the operand type (x itself in float32).
  at::Tensor prepare(const at::Tensor& x) const;
  at::Tensor multiply_prepared(const at::Tensor& x) const;

  bool defined() const { return packed_.defined(); }
  int64_t out() const { return out_; }
  int64_t in() const { return in_; }
  int64_t bytes() const { return out_ * in_ * (compute_ == Compute::kFloat32 ? 4 : 2); }

 private:
  at::Tensor packed_;
  int64_t out_ = 0;
  int64_t in_ = 0;
  Compute compute_ = Compute::kFloat32;
  at::Device device_ = at::kCPU;
};

}  // namespace assay
