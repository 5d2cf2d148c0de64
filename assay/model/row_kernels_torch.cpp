#include "assay/model/row_kernels.h"
#include "assay/model/row_math.h"

namespace assay {
namespace {

constexpr int64_t kRowGrain = 8;          // rows per task
constexpr int64_t kElementGrain = 16384;  // elements per task of an element-wise kernel; a multiple of the vector width

size_t as_size(int64_t n) { return static_cast<size_t>(n); }

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  if (!x.is_cpu()) return x * (x.square().mean(-1, true) + eps).rsqrt() * weight;
  const at::Tensor input = x.contiguous();
  at::Tensor out = at::empty_like(input);
  const int64_t n = input.size(-1);
  const float* from = input.const_data_ptr<float>();
  const float* scale = weight.const_data_ptr<float>();
  float* to = out.mutable_data_ptr<float>();
  at::parallel_for(0, input.numel() / n, kRowGrain, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) row::rms_norm(from + r * n, scale, static_cast<float>(eps), as_size(n), to + r * n);
  });
  return out;
}

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps) {
  if (!x.is_cpu()) return at::layer_norm(x, {x.size(-1)}, weight, bias, eps);
  const at::Tensor input = x.contiguous();
  at::Tensor out = at::empty_like(input);
  const int64_t n = input.size(-1);
  const float* from = input.const_data_ptr<float>();
  const float* scale = weight.const_data_ptr<float>();
  const float* shift = bias.const_data_ptr<float>();
  float* to = out.mutable_data_ptr<float>();
  at::parallel_for(0, input.numel() / n, kRowGrain, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) row::layer_norm(from + r * n, scale, shift, static_cast<float>(eps), as_size(n), to + r * n);
  });
  return out;
}

at::Tensor silu_multiply(const at::Tensor& gate, const at::Tensor& up) {
  if (!gate.is_cpu()) return at::silu(gate) * up;
  const at::Tensor a = gate.contiguous(), b = up.contiguous();
  at::Tensor out = at::empty_like(a);
  const float* gates = a.const_data_ptr<float>();
  const float* ups = b.const_data_ptr<float>();
  float* to = out.mutable_data_ptr<float>();
  at::parallel_for(0, a.numel(), kElementGrain,
                   [&](int64_t begin, int64_t end) { row::silu_multiply(gates + begin, ups + begin, as_size(end - begin), to + begin); });
  return out;
}

at::Tensor gelu_tanh(const at::Tensor& x) {
  if (!x.is_cpu()) return at::gelu(x, "tanh");
  const at::Tensor input = x.contiguous();
  at::Tensor out = at::empty_like(input);
  const float* from = input.const_data_ptr<float>();
  float* to = out.mutable_data_ptr<float>();
  at::parallel_for(0, input.numel(), kElementGrain,
                   [&](int64_t begin, int64_t end) { row::gelu_tanh(from + begin, as_size(end - begin), to + begin); });
  return out;
}

at::Tensor rope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, RopePairs pairs) {
  const int64_t dims = 2 * cos.size(-1);
  const at::Tensor part = x.narrow(-1, 0, dims);
  const at::Tensor c = cos.unsqueeze(-2), s = sin.unsqueeze(-2);
  at::Tensor turned;
  if (pairs == RopePairs::kInterleaved) {
    const at::Tensor a = part.slice(-1, 0, dims, 2), b = part.slice(-1, 1, dims, 2);
    turned = at::stack({a * c - b * s, a * s + b * c}, -1).flatten(-2);
  } else {
    const at::Tensor a = part.narrow(-1, 0, dims / 2), b = part.narrow(-1, dims / 2, dims / 2);
    turned = at::cat({a * c - b * s, a * s + b * c}, -1);
  }
  return dims == x.size(-1) ? turned : at::cat({turned, x.narrow(-1, dims, x.size(-1) - dims)}, -1);
}

void rope_(at::Tensor& x, const at::Tensor& positions, const at::Tensor& cos, const at::Tensor& sin, RopePairs pairs) {
  if (!x.is_cpu() || !x.is_contiguous()) {
    x.copy_(rope(x, cos.index_select(0, positions), sin.index_select(0, positions), pairs));
    return;
  }
  const int64_t heads = x.size(1), head_dim = x.size(2), half = cos.size(1);
  const int32_t* position = positions.const_data_ptr<int32_t>();
  const float* cosines = cos.const_data_ptr<float>();
  const float* sines = sin.const_data_ptr<float>();
  float* data = x.mutable_data_ptr<float>();
  const auto rotate = pairs == RopePairs::kInterleaved ? row::rope_interleaved : row::rope_half_split;
  at::parallel_for(0, x.size(0), kRowGrain, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const int64_t table = position[r] * half;
      for (int64_t h = 0; h < heads; ++h) rotate(data + (r * heads + h) * head_dim, cosines + table, sines + table, as_size(half));
    }
  });
}

}  // namespace assay
