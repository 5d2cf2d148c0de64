// The derivatives of row_kernels.h's functions, on all threads: g is the gradient at the output, the result that at the input(s).
// CPU, float32, contiguous. Rule of rows as there. Non-goals: other devices (differentiate ATen's operators).
#pragma once

#include <ATen/core/Tensor.h>

#include <utility>

namespace assay {

at::Tensor rms_norm_gradient(const at::Tensor& x, const at::Tensor& weight, double eps, const at::Tensor& g);
at::Tensor layer_norm_gradient(const at::Tensor& x, const at::Tensor& weight, double eps, const at::Tensor& g);
// At the gate and at the other factor.
std::pair<at::Tensor, at::Tensor> silu_multiply_gradient(const at::Tensor& gate, const at::Tensor& up, const at::Tensor& g);
at::Tensor gelu_tanh_gradient(const at::Tensor& x, const at::Tensor& g);

}  // namespace assay
