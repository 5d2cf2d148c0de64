#include "assay/model/row_math.h"

#include <algorithm>
#include <cmath>

#include "assay/base/lanes.h"
#include "assay/base/vector_math.h"
#include "assay/model/row_sums.h"

// Each function is compiled for three instruction sets (ASSAY_CLONES); the lanes are explicit, so the bytes are equal.
namespace assay::row {

ASSAY_CLONES float dot(const float* a, const float* b, size_t n) {
  return lane_sum(n, [=](size_t i) { return a[i] * b[i]; });
}

ASSAY_CLONES void rms_norm(const float* x, const float* weight, float eps, size_t n, float* out) {
  const float scale = 1.0f / std::sqrt(square_sum(x, 0.0f, n) / static_cast<float>(n) + eps);
  for (size_t i = 0; i < n; ++i) out[i] = x[i] * scale * weight[i];
}

ASSAY_CLONES void layer_norm(const float* x, const float* weight, const float* bias, float eps, size_t n, float* out) {
  const float mean = sum_of(x, n) / static_cast<float>(n);
  const float scale = 1.0f / std::sqrt(square_sum(x, mean, n) / static_cast<float>(n) + eps);
  for (size_t i = 0; i < n; ++i) out[i] = (x[i] - mean) * scale * weight[i] + bias[i];
}

ASSAY_CLONES void silu_multiply(const float* gate, const float* up, size_t n, float* out) {
  for (size_t i = 0; i < n; ++i) out[i] = gate[i] / (1.0f + fast_exp(-gate[i])) * up[i];
}

ASSAY_CLONES void gelu_tanh(const float* x, size_t n, float* out) {
  constexpr float kSqrt2OverPi = 0.79788456f;
  for (size_t i = 0; i < n; ++i) {
    const float u = kSqrt2OverPi * (x[i] + 0.044715f * x[i] * x[i] * x[i]);
    const float tanh_u = 1.0f - 2.0f / (fast_exp(2.0f * u) + 1.0f);
    out[i] = 0.5f * x[i] * (1.0f + tanh_u);
  }
}

ASSAY_CLONES float exponentials(float* x, size_t begin, size_t end, size_t n) {
  float top[kLanes];
  for (size_t j = 0; j < kLanes; ++j) top[j] = x[begin];
  size_t i = begin;
  for (; i + kLanes <= end; i += kLanes)
    for (size_t j = 0; j < kLanes; ++j) top[j] = x[i + j] > top[j] ? x[i + j] : top[j];
  for (size_t j = 0; i + j < end; ++j) top[j] = x[i + j] > top[j] ? x[i + j] : top[j];
  float largest = top[0];
  for (size_t j = 1; j < kLanes; ++j) largest = top[j] > largest ? top[j] : largest;
  std::fill(x, x + begin, 0.0f);
  std::fill(x + end, x + n, 0.0f);
  for (i = begin; i < end; ++i) x[i] = fast_exp(x[i] - largest);
  return sum_of(x + begin, end - begin);
}

ASSAY_CLONES void rope_interleaved(float* head, const float* cos, const float* sin, size_t half) {
  for (size_t i = 0; i < half; ++i) {
    const float a = head[2 * i], b = head[2 * i + 1];
    head[2 * i] = a * cos[i] - b * sin[i];
    head[2 * i + 1] = a * sin[i] + b * cos[i];
  }
}

ASSAY_CLONES void rope_half_split(float* head, const float* cos, const float* sin, size_t half) {
  for (size_t i = 0; i < half; ++i) {
    const float a = head[i], b = head[i + half];
    head[i] = a * cos[i] - b * sin[i];
    head[i + half] = a * sin[i] + b * cos[i];
  }
}

}  // namespace assay::row
