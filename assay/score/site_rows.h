// The rows of one matrix that enter the per-type products of the curvature table, and those products. Internal to score/.
// Memory: `rows()` per window instead of every token. Non-goals: gradients (model/), which tokens (token_sample.h).
#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

#include "assay/model/compute.h"
#include "assay/model/network.h"
#include "assay/score/token_sample.h"

namespace assay {

// How a window's tokens become rows.
struct RowRule {
  bool drawn = true;    // the drawn tokens, each gradient times scale * sqrt(weight); false: every token as it is
  bool centred = true;  // drawn ones only: inputs less the window's mean, which follows them as one more row with the sum of gradients
  int64_t tokens = 0;   // of a window
  int64_t kept = 0;     // drawn tokens of a window
  double scale = 1;
  int64_t rows() const { return drawn ? kept + (centred ? 1 : 0) : tokens; }
};

// Of a pass: window after window, on the CPU.
struct SiteRows {
  at::Tensor x, g;  // [windows * rows, in], [windows * rows, out]
};

// Writes windows [first, first + n) of `site` into `rows`, which holds all `windows` of the pass once the last ones are in.
struct SiteWork {
  const SiteGradient* site;
  SiteRows* rows;
};
void record_rows(const RowRule& rule, std::span<const SiteWork> work, std::span<const TokenSample> drawn, size_t first, size_t n);

// Of a window's inputs x [tokens, in] and output gradients g [tokens, out]: see window_mean() (curvature_kernels.h); [1, in] and [1, out].
std::pair<at::Tensor, at::Tensor> mean_and_sum(const at::Tensor& x, const at::Tensor& g);

// First-order terms g_t . dW x_t of all rows. `compute`: of the product; float32 takes the change as it lies in memory.
std::vector<float> terms_of(const SiteRows& rows, const at::Tensor& change, Compute compute, at::Device device);

}  // namespace assay
