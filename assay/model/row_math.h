// The inner loops behind row_kernels.h, on plain pointers: no torch, one row per call. Sums run over 16 fixed lanes that are
// reduced in a fixed tree, so every instruction set gives the same bytes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace assay::row {

float dot(const float* a, const float* b, size_t n);
void rms_norm(const float* x, const float* weight, float eps, size_t n, float* out);
void layer_norm(const float* x, const float* weight, const float* bias, float eps, size_t n, float* out);
void silu_multiply(const float* gate, const float* up, size_t n, float* out);
void gelu_tanh(const float* x, size_t n, float* out);
// e^(x - largest) for x[begin .. end), 0 for the others of x[0 .. n), in place; returns the sum. begin < end <= n.
float exponentials(float* x, size_t begin, size_t end, size_t n);
// One head of `half` pairs; cos and sin have `half` entries.
void rope_interleaved(float* head, const float* cos, const float* sin, size_t half);
void rope_half_split(float* head, const float* cos, const float* sin, size_t half);

}  // namespace assay::row
