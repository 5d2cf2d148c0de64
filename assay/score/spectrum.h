// Singular values and vectors of weight matrices, and what the NSDS scores make of them (methods.md 3.9). float64 throughout; the singular
// vectors of the wanted side only, from the Gram matrix of that side: relative to the largest, singular values below 1e-8 are noise.
// Non-goals: which matrices (nsds_torch.cpp).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <span>

namespace assay {

// The library's operators run on one thread while it lives: LAPACK's results may depend on how many there are. Part of that setting is the
// whole process's, so only one thread may make it, and others work through it.
class OneThread {
 public:
  OneThread();
  ~OneThread();
  // parallel_for (base/parallel.h) over bodies that use operators.
  void parallel(size_t count, int threads, const std::function<void(size_t)>& body) const;
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

// Rows x columns float32 seen as a tensor; the memory is the caller's.
at::Tensor as_tensor(std::span<const float> values, uint64_t rows, uint64_t columns);

// Descending singular values [k] and the vectors of one side [n, k].
struct Spectrum {
  at::Tensor values, vectors;
};
// Of M [m, n]: the right singular vectors [n, min(m, n)], or the left ones [m, min(m, n)]. No bit depends on `threads` (0: all).
Spectrum right_spectrum(const at::Tensor& matrix, int threads = 0);
Spectrum left_spectrum(const at::Tensor& matrix, int threads = 0);
// The values alone [min(m, n)], for a third of the work: from the Gram matrix of the smaller side, tridiagonal, without vectors.
at::Tensor singular_values(const at::Tensor& matrix, int threads = 0);

// A^T = Q R of A [k, n], k < n: what thin_product takes, made once for a matrix with several partners.
struct ThinFactor {
  at::Tensor q, r;
};
ThinFactor thin_factor(const at::Tensor& a);

// Of A^T B with A, B [k, n], k < n, without making it: k singular values, left [n, k] and right [n, k] vectors.
struct ThinProduct {
  at::Tensor values, left, right;
};
ThinProduct thin_product(const ThinFactor& a, const ThinFactor& b);

// The fewest leading values with 99 % of the sum of squares and one more, at least 2, at most all.
int64_t kept_rank(const at::Tensor& values);

// sum(s) / exp(entropy of s / sum(s)): the published capacity, which divides by the effective rank. 0 for an empty or zero spectrum.
double capacity(const at::Tensor& values);

// Fisher's excess kurtosis (biased) of each column [n, k] -> [k].
at::Tensor column_kurtosis(const at::Tensor& matrix);

}  // namespace assay
