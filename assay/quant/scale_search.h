// Searches for the scale (and minimum) of a run of kSize weights that shares one: the part all encoders have in common.
// Objective: sum of weight * (x - decoded)^2, exactly; a candidate's best scale is its weighted least squares fit.
// A run starts from several inverse scales and is then improved by re-rounding (Lloyd steps). Internal to quant/.
#pragma once

#include <cmath>

#include "assay/base/lanes.h"
#include "assay/quant/folds.h"

namespace assay::search {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"

using lanes::Float16;

// x = scale * q, q integer in [low, high].
struct Symmetric {
  float scale = 0;
  float gain = 0;  // sum w x^2 minus the error: larger is better
};

template <int kSize>
ASSAY_INLINE void symmetric_sums(const float* x, const float* w, float inverse, float low, float high, float& wxq, float& wqq) {
  Float16 sum_xq{}, sum_qq{};
  for (int i = 0; i < kSize; i += 16) {
    const Float16 v = lanes::load(x + i), weight = lanes::load(w + i);
    const Float16 q = lanes::clamp(lanes::round(v * inverse), low, high);
    sum_xq += weight * v * q;
    sum_qq += weight * q * q;
  }
  wxq = folds::sum(sum_xq);
  wqq = folds::sum(sum_qq);
}

template <int kSize>
ASSAY_INLINE float signed_extreme(const float* x) {
  float extreme = 0;
  for (int i = 0; i < kSize; ++i)
    if (std::fabs(x[i]) > std::fabs(extreme)) extreme = x[i];
  return extreme;
}

// Inverse scales tried: (low + 0.1 k) / extreme for |k| <= kSteps, so that the extreme lands near the end that reaches further.
template <int kSize, int kSteps>
ASSAY_INLINE Symmetric fit_symmetric(const float* x, const float* w, float low, float high) {
  Symmetric best;
  const float extreme = signed_extreme<kSize>(x);
  if (!(std::fabs(extreme) > 1e-30f)) return best;
  const auto consider = [&](float inverse) __attribute__((always_inline)) {
    float wxq = 0, wqq = 0;
    symmetric_sums<kSize>(x, w, inverse, low, high, wxq, wqq);
    if (wqq > 0 && wxq * wxq > best.gain * wqq) {
      best.scale = wxq / wqq;
      best.gain = best.scale * wxq;
      return true;
    }
    return false;
  };
  for (int k = -kSteps; k <= kSteps; ++k) consider((low + 0.1f * static_cast<float>(k)) / extreme);
  for (int step = 0; step < 3 && best.scale != 0 && consider(1.0f / best.scale); ++step) {
  }
  return best;
}

// x = scale * q - minimum, q integer in [0, high].
struct Affine {
  float scale = 0;
  float minimum = 0;
  float error = 0;
};

// kSigned: the minimum may have either sign (Q4_1, Q5_1); otherwise it is at least 0 (K formats).
template <int kSize, int kSteps, bool kSigned>
ASSAY_INLINE Affine fit_affine(const float* x, const float* w, float high, float first, float step) {
  Float16 sum_w{}, sum_x{}, sum_xx{}, least = lanes::load(x), most = least;
  for (int i = 0; i < kSize; i += 16) {
    const Float16 v = lanes::load(x + i), weight = lanes::load(w + i);
    sum_w += weight;
    sum_x += weight * v;
    sum_xx += weight * v * v;
    least = lanes::minimum(least, v);
    most = lanes::maximum(most, v);
  }
  const float sw = folds::sum(sum_w), swx = folds::sum(sum_x), swxx = folds::sum(sum_xx);
  float low = folds::least(least);
  const float top = folds::most(most);
  if (!kSigned && low > 0) low = 0;
  Affine best;
  if (!(top - low > 1e-30f)) {  // constant run: one level
    best.minimum = -low;
    best.error = swxx + low * (low * sw - 2 * swx);
    return best;
  }
  best.error = INFINITY;
  // Rounds with (scale, minimum) = (1 / inverse, -offset) and refits both.
  const auto consider = [&](float inverse, float offset) __attribute__((always_inline)) {
    Float16 sum_q{}, sum_qq{}, sum_xq{};
    for (int i = 0; i < kSize; i += 16) {
      const Float16 v = lanes::load(x + i), weight = lanes::load(w + i);
      const Float16 q = lanes::clamp(lanes::round((v - offset) * inverse), 0, high);
      const Float16 wq = weight * q;
      sum_q += wq;
      sum_qq += wq * q;
      sum_xq += wq * v;
    }
    const float swq = folds::sum(sum_q), swqq = folds::sum(sum_qq), swxq = folds::sum(sum_xq);
    const float determinant = sw * swqq - swq * swq;
    if (!(determinant > 0)) return false;
    float scale = (sw * swxq - swx * swq) / determinant;
    float base = (swqq * swx - swq * swxq) / determinant;
    if (!kSigned && base > 0) {
      base = 0;
      scale = swqq > 0 ? swxq / swqq : 0;
    }
    const float error = swxx + scale * (scale * swqq - 2 * swxq) + base * (base * sw - 2 * swx) + 2 * scale * base * swq;
    if (!(error < best.error) || !(scale > 0)) return false;
    best = {scale, -base, error};
    return true;
  };
  for (int k = 0; k <= kSteps; ++k) consider((high + first + step * static_cast<float>(k)) / (top - low), low);
  for (int i = 0; i < 3 && best.scale > 0 && consider(1.0f / best.scale, -best.minimum); ++i) {
  }
  return best;
}

#pragma GCC diagnostic pop

}  // namespace assay::search
