#include "assay/model/row_math_gradient.h"

#include <cmath>

#include "assay/base/lanes.h"
#include "assay/base/vector_math.h"
#include "assay/model/row_sums.h"

namespace assay::row {

// y = s w x with s = (mean x^2 + eps)^-1/2: gx = s w g - s^3 / n (sum w g x) x.
ASSAY_CLONES void rms_norm_gradient(const float* x, const float* weight, const float* g, float eps, size_t n, float* gx) {
  const float scale = 1.0f / std::sqrt(square_sum(x, 0.0f, n) / static_cast<float>(n) + eps);
  const float along = lane_sum(n, [=](size_t i) { return weight[i] * g[i] * x[i]; });
  const float back = scale * scale * scale / static_cast<float>(n) * along;
  for (size_t i = 0; i < n; ++i) gx[i] = scale * weight[i] * g[i] - back * x[i];
}

// y = w z + b with z = s (x - mean): gx = s (w g - mean(w g) - z mean(w g z)).
ASSAY_CLONES void layer_norm_gradient(const float* x, const float* weight, const float* g, float eps, size_t n, float* gx) {
  const auto count = static_cast<float>(n);
  const float mean = sum_of(x, n) / count;
  const float scale = 1.0f / std::sqrt(square_sum(x, mean, n) / count + eps);
  const float shift = lane_sum(n, [=](size_t i) { return weight[i] * g[i]; }) / count;
  const float along = lane_sum(n, [=](size_t i) { return weight[i] * g[i] * (x[i] - mean); }) * scale / count;
  for (size_t i = 0; i < n; ++i) gx[i] = scale * (weight[i] * g[i] - shift - (x[i] - mean) * scale * along);
}

// y = gate s(gate) up, s' = s (1 - s).
ASSAY_CLONES void silu_multiply_gradient(const float* gate, const float* up, const float* g, size_t n, float* g_gate, float* g_up) {
  for (size_t i = 0; i < n; ++i) {
    const float s = 1.0f / (1.0f + fast_exp(-gate[i])), activated = gate[i] * s;
    g_gate[i] = g[i] * up[i] * (s + activated * (1.0f - s));
    g_up[i] = g[i] * activated;
  }
}

// y = x (1 + tanh u) / 2, u = a (x + b x^3).
ASSAY_CLONES void gelu_tanh_gradient(const float* x, const float* g, size_t n, float* gx) {
  constexpr float kSqrt2OverPi = 0.79788456f, kCubic = 0.044715f;
  for (size_t i = 0; i < n; ++i) {
    const float u = kSqrt2OverPi * (x[i] + kCubic * x[i] * x[i] * x[i]);
    const float tanh_u = 1.0f - 2.0f / (fast_exp(2.0f * u) + 1.0f);
    const float slope = kSqrt2OverPi * (1.0f + 3.0f * kCubic * x[i] * x[i]);
    gx[i] = g[i] * 0.5f * (1.0f + tanh_u + x[i] * (1.0f - tanh_u * tanh_u) * slope);
  }
}

ASSAY_CLONES void softmax_gradient(float* p, float* g, float inverse, float scale, size_t n) {
  for (size_t i = 0; i < n; ++i) p[i] *= inverse;
  const float mean = lane_sum(n, [=](size_t i) { return p[i] * g[i]; });
  for (size_t i = 0; i < n; ++i) g[i] = p[i] * (g[i] - mean) * scale;
}

}  // namespace assay::row
