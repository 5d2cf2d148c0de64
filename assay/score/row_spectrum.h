// How many directions the rows of a matrix - a token's activations each - spread over: eigenvalues of their covariance, and two numbers
// made of them. float64. Non-goals: weights (spectrum.h).
#pragma once

#include <ATen/core/Tensor.h>

namespace assay {

// Of X [n, d] on the CPU: the min(n, d) eigenvalues of X^T X, descending; `centred`: less the mean over rows first. Not divided by n: only
// ratios are of interest. No bit depends on `threads` (0: all).
at::Tensor row_eigenvalues(const at::Tensor& rows, bool centred, int threads = 0);

// lambda_1 / (sum of lambda + 1e-12), in [0, 1]; 1: all rows lie along one direction (methods.md 2.3: stability). One row: 1; none: 0.
double leading_share(const at::Tensor& eigenvalues);

// exp(-H) of p = lambda / sum of lambda, H its entropy in nats: 1 over the effective number of directions. 0 where all are 0.
double concentration(const at::Tensor& eigenvalues);

}  // namespace assay
