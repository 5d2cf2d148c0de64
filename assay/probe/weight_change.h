// The change dW of one matrix [out, in] in the form that it has - all of it, a few of its weights, the product of two thin matrices -, and
// the same ready for products. A few weights cost a few multiplications per token, never a product of the matrix.
// Non-goals: making changes (changes.h, resolve_variant.h), where they apply (sweep.h).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "assay/model/matrix.h"

namespace assay {

struct SparseWeight {
  int64_t row = 0, column = 0;
  float value = 0;  // what is added
};

// One of the forms; the others are empty.
struct WeightChange {
  WeightChange() = default;
  WeightChange(at::Tensor all) : dense(std::move(all)) {}  // NOLINT: the usual form
  at::Tensor dense;                                        // [out, in] float32 on the CPU
  std::vector<SparseWeight> sparse;
  at::Tensor left, right;  // left right: [out, rank], [rank, in] float32 on the CPU

  // Rows `indices` (int32 or int64) of dW, [n, in]: what a changed embedding adds to tokens.
  at::Tensor rows(const at::Tensor& indices, int64_t in) const;
  at::Tensor whole(int64_t out, int64_t in) const;
};

class PackedChange {
 public:
  static PackedChange pack(const WeightChange& change, Compute compute, at::Device device = at::kCPU);
  // y [rows, out] += x dW^T, in place; x [rows, in] and y contiguous.
  void multiply_add(const at::Tensor& x, at::Tensor& y) const;

 private:
  Matrix dense_, left_, right_;
  std::vector<SparseWeight> sparse_;
};

}  // namespace assay
