// The gated half of a SwiGLU MLP, silu(x Wg^T) * (x Wu^T), over panels: a tile of both products is activated while it is in cache, so
// that neither goes through memory. Bit-equal to the two products and silu_multiply. Rule of rows as in panel_product.h.
// Non-goals: biases, other activations, CPUs without panels (Block falls back to the separate steps).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace assay {

// What one model computed, each [rows, out]: near it, products are made from the distance of their input (Matrix::add_deviation).
struct GatedBase {
  at::Tensor gate, up, activated;
};

// x: the prepared operand [rows, in], or with `base` the deviation of n streams of the base's rows. gate, up: panels of its type, `out`
// outputs. Returns the operand of the next product, [rows, out]: float32 as it is; bfloat16 rounded, and with `base` less base.activated.
at::Tensor gated_product(const at::Tensor& x, const at::Tensor& gate, const at::Tensor& up, int64_t out, const GatedBase* base);

}  // namespace assay
