#include "assay/quant/iq4_encode.h"

#include <algorithm>

#include "assay/quant/folds.h"
#include "assay/quant/half.h"
#include "assay/quant/scale_search.h"

namespace assay {
namespace {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"

using lanes::Float16;

constexpr int kRun = 32;
constexpr float kLargestHalf = 65504.0f;
constexpr float kOnes[kRun] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

ASSAY_INLINE float as_half(float value) { return half_to_float(float_to_half(std::clamp(value, -kLargestHalf, kLargestHalf))); }

// The nearest table value, lane by lane: one comparison per gap.
ASSAY_INLINE Float16 nearest(Float16 x) {
  Float16 value = lanes::splat(kIq4Values[0]);
  for (int k = 0; k < 15; ++k) {
    const float middle = 0.5f * (kIq4Values[k] + kIq4Values[k + 1]);
    value = x > middle ? lanes::splat(kIq4Values[k + 1]) : value;
  }
  return value;
}

ASSAY_INLINE Float16 nearest_index(Float16 x) {
  Float16 index{};
  for (int k = 0; k < 15; ++k) index += x > 0.5f * (kIq4Values[k] + kIq4Values[k + 1]) ? lanes::splat(1) : lanes::splat(0);
  return index;
}

ASSAY_INLINE const float* weights_of(const float* importance, uint64_t column) {
  if (importance == nullptr) return kOnes;
  for (int i = 0; i < kRun; ++i)
    if (importance[column + static_cast<uint64_t>(i)] > 0) return importance + column;
  return kOnes;
}

ASSAY_INLINE float run_error(const float* x, const float* w, float scale) {
  const float inverse = scale != 0 ? 1.0f / scale : 0.0f;
  Float16 total{};
  for (int i = 0; i < kRun; i += 16) {
    const Float16 v = lanes::load(x + i), e = v - scale * nearest(v * inverse);
    total += lanes::load(w + i) * e * e;
  }
  return folds::sum(total);
}

// The best scale of a run: the extreme on either end of the table and in between, then re-rounding.
ASSAY_INLINE float fit_run(const float* x, const float* w) {
  const float extreme = search::signed_extreme<kRun>(x);
  if (!(std::fabs(extreme) > 1e-30f)) return 0;
  float best = 0, gain = 0;
  const auto consider = [&](float inverse) __attribute__((always_inline)) {
    Float16 sum_xq{}, sum_qq{};
    for (int i = 0; i < kRun; i += 16) {
      const Float16 v = lanes::load(x + i), weight = lanes::load(w + i), q = nearest(v * inverse);
      sum_xq += weight * v * q;
      sum_qq += weight * q * q;
    }
    const float wxq = folds::sum(sum_xq), wqq = folds::sum(sum_qq);
    if (!(wqq > 0) || !(wxq * wxq > gain * wqq)) return false;
    best = wxq / wqq;
    gain = best * wxq;
    return true;
  };
  for (int k = -7; k <= 7; ++k) consider((kIq4Values[0] + static_cast<float>(k)) / extreme);
  for (int k = -4; k <= 4; ++k) consider((kIq4Values[15] + 1.5f * static_cast<float>(k)) / extreme);
  for (int step = 0; step < 3 && best != 0 && consider(1.0f / best); ++step) {
  }
  return best;
}

ASSAY_INLINE void put_run(const float* x, float scale, std::byte* qs) {
  const float inverse = scale != 0 ? 1.0f / scale : 0.0f;
  float index[kRun];
  for (int i = 0; i < kRun; i += 16) lanes::store(index + i, nearest_index(lanes::load(x + i) * inverse));
  for (int j = 0; j < 16; ++j) qs[j] = static_cast<std::byte>(static_cast<unsigned>(index[j]) | static_cast<unsigned>(index[j + 16]) << 4);
}

#pragma GCC diagnostic pop

}  // namespace

ASSAY_CLONES void encode_iq4_nl(const float* row, const float* importance, uint64_t n, std::byte* out) {
  for (uint64_t b = 0; b < n; b += kRun, out += 18) {
    const float d = as_half(fit_run(row + b, weights_of(importance, b)));
    store_u16(out, float_to_half(d));
    put_run(row + b, d, out + 2);
  }
}

ASSAY_CLONES void encode_iq4_xs(const float* row, const float* importance, uint64_t n, std::byte* out) {
  constexpr int kRuns = 8;
  for (uint64_t b = 0; b < n; b += 256, out += 136) {
    float fits[kRuns], extreme = 0;
    const float* w[kRuns];
    for (int k = 0; k < kRuns; ++k) {
      w[k] = weights_of(importance, b + static_cast<uint64_t>(kRun * k));
      fits[k] = fit_run(row + b + kRun * k, w[k]);
      if (std::fabs(fits[k]) > std::fabs(extreme)) extreme = fits[k];
    }
    const float d = as_half(extreme / -32.0f);
    unsigned low[kRuns / 2] = {}, high = 0;
    for (int k = 0; k < kRuns; ++k) {
      const float* x = row + b + kRun * k;
      const float base = d != 0 ? std::clamp(std::nearbyint(fits[k] / d), -32.0f, 31.0f) : 0.0f;
      float best = base, error = INFINITY;
      for (int a = -1; a <= 1; ++a) {
        const float s = base + static_cast<float>(a);
        if (s < -32 || s > 31) continue;
        const float e = run_error(x, w[k], d * s);
        if (e < error) error = e, best = s;
      }
      put_run(x, d * best, out + 8 + 16 * k);
      const auto raw = static_cast<unsigned>(static_cast<int>(best) + 32);
      low[k / 2] |= (raw & 15u) << (4 * (k % 2));
      high |= (raw >> 4) << (2 * k);
    }
    store_u16(out, float_to_half(d));
    store_u16(out + 2, static_cast<uint16_t>(high));
    for (int i = 0; i < kRuns / 2; ++i) out[4 + i] = static_cast<std::byte>(low[i]);
  }
}

}  // namespace assay
