// Row kernels of the curvature table: random residuals with the Fisher matrix of a softmax as covariance, and the moments of a change of
// logits under it. Rows are [vocab] float32. Torch-free, thread-safe. Non-goals: gradients, which rows.
#pragma once

#include <cstddef>
#include <span>

#include "assay/base/random.h"

namespace assay {

// Logits -> probabilities, in place.
void softmax(std::span<float> row);

// Both have mean 0 and covariance diag(p) - p p^T, so that E (r . d)^2 is twice the second-order KL of a change d of the logits.
// Labels: r = e_y - p with y ~ p; rare labels give rare large values. Signs: r = sqrt(p) z - p (sqrt(p) . z) with z = +-1: never a larger
// fourth moment than a Gaussian's. In: p; out: r.
void label_residual(CounterRandom& random, std::span<float> row);
void sign_residual(CounterRandom& random, std::span<float> row);

// Of a change e of a row's logits with probabilities p and residual r.
struct LogitChange {
  double variance = 0;  // sum p e^2 - (sum p e)^2: twice the second-order KL
  double term = 0;      // r . (e - common): its first-order term
};
LogitChange logit_change(std::span<const float> e, std::span<const float> p, std::span<const float> r, std::span<const float> common);

// Of a window's inputs x [tokens, in] and output gradients g [tokens, out] of one matrix: the mean input weighted by |g|^2 (the constant
// that leaves the least to the tokens; the plain mean where g is 0) -> mean [in]; the sum of g -> sum [out].
void window_mean(std::span<const float> x, std::span<const float> g, std::span<float> mean, std::span<float> sum);

}  // namespace assay
