// The second moments H = X^T X of a linear input, ready for choosing codes: damped, factored as L D L^T, and cut into blocks of columns
// whose products are packed. Shared by all matrices that read the input and by all types.
// Non-goals: collecting and storing moments (probe/collect_moments.h, file/moments.h).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "assay/base/result.h"
#include "assay/codes/column_kernels.h"
#include "assay/model/matrix.h"

namespace assay {

class SecondMoment {
 public:
  // moment: [k, k] float32, symmetric, finite, a non-negative diagonal; any scale. damping: share of the mean diagonal added to it, > 0.
  // Errors: kBadInput names what is wrong with the matrix.
  static Result<SecondMoment> prepare(const at::Tensor& moment, double damping);

  int64_t width() const { return width_; }
  // Its columns are worked on in blocks of codes::kColumns, the last one narrower.
  int64_t blocks() const { return static_cast<int64_t>(own_.size()); }
  int64_t columns(int64_t block) const;
  codes::Moments own(int64_t block) const;

  // Products with x [rows, columns(from)]: x H[from, to], and x L[from, to] for from > to.
  const Matrix& h(int64_t from, int64_t to) const { return h_[index(from, to)]; }
  const Matrix& lower(int64_t from, int64_t to) const { return lower_[index(from, to)]; }

  // Errors under this object times `scale()` are in the units of the matrix given.
  double scale() const { return scale_; }
  // The mean diagonal as given: weights of the columns, [k] float32, undamped.
  const std::vector<float>& importance() const { return importance_; }

 private:
  struct Own {
    at::Tensor h, lower, diagonal;  // [kColumns, kColumns] twice, [kColumns]
  };
  size_t index(int64_t from, int64_t to) const { return static_cast<size_t>(from * blocks() + to); }

  int64_t width_ = 0;
  double scale_ = 1;
  std::vector<float> importance_;
  std::vector<Own> own_;
  std::vector<Matrix> h_, lower_;
};

}  // namespace assay
