// The second moments H = X^T X of a linear input, ready for choosing codes: damped, factored as L D L^T, and cut into tiles.
// Shared by all matrices that read the input and by all types.
// Non-goals: collecting and storing moments (probe/collect_moments.h, file/moments.h).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "assay/base/result.h"
#include "assay/codes/column_kernels.h"

namespace assay {

class SecondMoment {
 public:
  // moment: [k, k] float32, symmetric, finite, a non-negative diagonal; any scale. damping: share of the mean diagonal added to it, > 0.
  // Errors: kBadInput names what is wrong with the matrix.
  static Result<SecondMoment> prepare(const at::Tensor& moment, double damping);

  int64_t width() const { return width_; }
  // Its columns are worked on in blocks of codes::kColumns, the last one narrower.
  int64_t blocks() const { return (width_ + codes::kColumns - 1) / codes::kColumns; }
  int columns(int64_t block) const;
  codes::Moments own(int64_t block) const;

  // H[from, to], and L[from, to] for from >= to: [kColumns, kStride], zero beyond the last column.
  const float* h(int64_t from, int64_t to) const { return tile(h_, from * blocks() + to); }
  const float* lower(int64_t from, int64_t to) const { return tile(lower_, from * (from + 1) / 2 + to); }

  // Errors under this object times `scale()` are in the units of the matrix given.
  double scale() const { return scale_; }
  // The mean diagonal as given: weights of the columns, [k] float32, undamped.
  const std::vector<float>& importance() const { return importance_; }

 private:
  static const float* tile(const at::Tensor& tiles, int64_t i) {
    return tiles.const_data_ptr<float>() + i * codes::kColumns * codes::kStride;
  }

  int64_t width_ = 0;
  double scale_ = 1;
  std::vector<float> importance_;
  at::Tensor h_, lower_;  // [tiles, kColumns, kStride]
  at::Tensor diagonal_;   // D, [k]
};

}  // namespace assay
