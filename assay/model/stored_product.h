// Products with a float32 weight as it lies in memory: x W for backward, and g_t . W x_t for every row t. On all threads.
// Rule of rows where the CPU has our kernels (panel_product.h); ATen's products elsewhere.
// Non-goals: x W^T (matrix.h), other operand types.
#pragma once

#include <ATen/core/Tensor.h>

namespace assay {

// x [rows, out], w [out, in], contiguous -> [rows, in]; or added to y.
at::Tensor multiply_stored(const at::Tensor& x, const at::Tensor& w);
void multiply_stored_add(const at::Tensor& x, const at::Tensor& w, at::Tensor& y);
// g [rows, out], x [rows, in], w [out, in], contiguous -> [rows]: g_t . w x_t.
at::Tensor bilinear_rows(const at::Tensor& g, const at::Tensor& w, const at::Tensor& x);

}  // namespace assay
