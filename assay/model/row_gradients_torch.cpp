#include "assay/model/row_gradients.h"
#include "assay/model/row_math_gradient.h"

namespace assay {
namespace {

constexpr int64_t kRowGrain = 8;         // rows per task
constexpr int64_t kElementGrain = 8192;  // elements per task of an element-wise kernel; a multiple of the vector width

// Calls gradient(x row, g row, length, result row) for every row.
template <class Gradient>
at::Tensor by_rows(const at::Tensor& x, const at::Tensor& g, const Gradient& gradient) {
  at::Tensor out = at::empty_like(x);
  const int64_t n = x.size(-1);
  const float* inputs = x.const_data_ptr<float>();
  const float* gradients = g.const_data_ptr<float>();
  float* to = out.mutable_data_ptr<float>();
  at::parallel_for(0, x.numel() / n, kRowGrain, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) gradient(inputs + r * n, gradients + r * n, static_cast<size_t>(n), to + r * n);
  });
  return out;
}

}  // namespace

at::Tensor rms_norm_gradient(const at::Tensor& x, const at::Tensor& weight, double eps, const at::Tensor& g) {
  return by_rows(x, g, [scale = weight.const_data_ptr<float>(), eps](const float* in, const float* out, size_t n, float* to) {
    row::rms_norm_gradient(in, scale, out, static_cast<float>(eps), n, to);
  });
}

at::Tensor layer_norm_gradient(const at::Tensor& x, const at::Tensor& weight, double eps, const at::Tensor& g) {
  return by_rows(x, g, [scale = weight.const_data_ptr<float>(), eps](const float* in, const float* out, size_t n, float* to) {
    row::layer_norm_gradient(in, scale, out, static_cast<float>(eps), n, to);
  });
}

std::pair<at::Tensor, at::Tensor> silu_multiply_gradient(const at::Tensor& gate, const at::Tensor& up, const at::Tensor& g) {
  at::Tensor g_gate = at::empty_like(gate), g_up = at::empty_like(up);
  const float* gates = gate.const_data_ptr<float>();
  const float* ups = up.const_data_ptr<float>();
  const float* gradients = g.const_data_ptr<float>();
  float* to_gate = g_gate.mutable_data_ptr<float>();
  float* to_up = g_up.mutable_data_ptr<float>();
  at::parallel_for(0, gate.numel(), kElementGrain, [&](int64_t begin, int64_t end) {
    row::silu_multiply_gradient(gates + begin, ups + begin, gradients + begin, static_cast<size_t>(end - begin), to_gate + begin,
                                to_up + begin);
  });
  return {g_gate, g_up};
}

at::Tensor gelu_tanh_gradient(const at::Tensor& x, const at::Tensor& g) {
  at::Tensor out = at::empty_like(x);
  const float* inputs = x.const_data_ptr<float>();
  const float* gradients = g.const_data_ptr<float>();
  float* to = out.mutable_data_ptr<float>();
  at::parallel_for(0, x.numel(), kElementGrain, [&](int64_t begin, int64_t end) {
    row::gelu_tanh_gradient(inputs + begin, gradients + begin, static_cast<size_t>(end - begin), to + begin);
  });
  return out;
}

}  // namespace assay
