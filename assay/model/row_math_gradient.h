// The derivatives of row_math.h's functions, one row per call, under the same rules: no torch, equal bytes for every instruction set.
// g is the gradient at the function's output; what is written is the gradient at its inputs. Nothing may overlap unless said.
#pragma once

#include <cstddef>

namespace assay::row {

void rms_norm_gradient(const float* x, const float* weight, const float* g, float eps, size_t n, float* gx);
void layer_norm_gradient(const float* x, const float* weight, const float* g, float eps, size_t n, float* gx);
void silu_multiply_gradient(const float* gate, const float* up, const float* g, size_t n, float* g_gate, float* g_up);
void gelu_tanh_gradient(const float* x, const float* g, size_t n, float* gx);
// Softmax, in place. p: exponentials -> probabilities, p * inverse. g: at the probabilities -> at the exponents, times scale.
void softmax_gradient(float* p, float* g, float inverse, float scale, size_t n);

}  // namespace assay::row
