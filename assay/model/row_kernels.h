// Row-wise kernels of the forward without gradient: norms, activations, rotary embedding. float32.
// Rule of rows: each row is computed alone, in a fixed order; equal bytes for any batch, threads and CPU capability.
// Tensors on other devices take ATen's operators, where only the noise floor holds.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace assay {

// x [rows, d] * weight [d] / sqrt(mean(x^2) + eps).
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);
// (x - mean) / sqrt(var + eps) * weight + bias.
at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps);
// gate * sigmoid(gate) * up, same shapes.
at::Tensor silu_multiply(const at::Tensor& gate, const at::Tensor& up);
// 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
at::Tensor gelu_tanh(const at::Tensor& x);

// Which elements of a head form a rotated pair: (2i, 2i+1), GGUF "normal"; or (i, i + dims/2), "neox".
enum class RopePairs { kInterleaved, kHalfSplit };
// Rotates the first 2 * cos.size(1) elements of each head of x [rows, heads, head_dim] in place.
// positions: int32 [rows]; cos, sin: [max_position, dims / 2].
void rope_(at::Tensor& x, const at::Tensor& positions, const at::Tensor& cos, const at::Tensor& sin, RopePairs pairs);

// The same as a new tensor by ATen's operators, differentiable. x [.., rows, heads, head_dim]; cos, sin [rows, dims / 2].
at::Tensor rope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, RopePairs pairs);

}  // namespace assay
