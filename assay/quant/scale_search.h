// Searches for the scale (and minimum) of runs of kSize weights that share one: the part all encoders have in common.
// Sixteen runs are searched at once, one per lane; nothing crosses lanes, so a run's result does not depend on its neighbours.
// Objective: sum of weight * (x - decoded)^2, exactly; a candidate's best scale is its weighted least squares fit.
// A run starts from several inverse scales and is then improved by re-rounding (Lloyd steps). Internal to quant/.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>

#include "assay/base/lanes.h"
#include "assay/quant/folds.h"
#include "assay/quant/half.h"

namespace assay::search {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"

using lanes::Float16;

constexpr int kRuns = 16;
constexpr int kLloydSteps = 3;
constexpr float kSmallestRange = 1e-30f;  // runs that reach less far are taken as constant

// Vector i holds weight i of every run: x the value, w its importance.
template <int kSize>
struct Runs {
  Float16 x[kSize];
  Float16 w[kSize];
};

// Runs one after another in memory, into lanes; lanes from `count` on repeat the last run.
template <int kSize>
ASSAY_INLINE void transpose(const float* from, int count, Float16* to) {
  using Float4 = float __attribute__((vector_size(16)));
  const auto load = [](const float* at) __attribute__((always_inline)) {
    Float4 value;
    std::memcpy(&value, at, sizeof value);
    return value;
  };
  for (int lane = 0; lane < kRuns; lane += 4) {
    const float* run[4];
    for (int t = 0; t < 4; ++t) run[t] = from + std::min(lane + t, count - 1) * kSize;
    for (int i = 0; i < kSize; i += 4) {
      const Float4 a = load(run[0] + i), b = load(run[1] + i), c = load(run[2] + i), d = load(run[3] + i);
      const Float4 ab01 = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab23 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
      const Float4 cd01 = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd23 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
      const Float4 rows[4] = {__builtin_shufflevector(ab01, cd01, 0, 1, 4, 5), __builtin_shufflevector(ab01, cd01, 2, 3, 6, 7),
                              __builtin_shufflevector(ab23, cd23, 0, 1, 4, 5), __builtin_shufflevector(ab23, cd23, 2, 3, 6, 7)};
      for (int t = 0; t < 4; ++t) std::memcpy(reinterpret_cast<char*>(to + i + t) + lane * sizeof(float), &rows[t], sizeof(Float4));
    }
  }
}

// The first `count` (1-16) runs at `row`. importance: of the same columns, or null for ones; a run without any importance counts as
// ones (its columns were never active).
template <int kSize>
ASSAY_INLINE void load_runs(const float* row, const float* importance, int count, Runs<kSize>& runs) {
  transpose<kSize>(row, count, runs.x);
  if (importance == nullptr) {
    for (Float16& w : runs.w) w = lanes::splat(1);
    return;
  }
  transpose<kSize>(importance, count, runs.w);
  Float16 total{};
  for (const Float16& w : runs.w) total += w;
  for (Float16& w : runs.w) w = total > 0 ? w : lanes::splat(1);
}

// Flags are positive where set. They are combined as numbers: GCC 12 keeps a selection in vector registers, but takes masks apart,
// lane by lane, that meet in an &, a product or a nested selection.
ASSAY_INLINE Float16 above(Float16 x, Float16 bound) { return x > bound ? lanes::splat(1) : Float16{}; }
ASSAY_INLINE Float16 both(Float16 a, Float16 b) { return a + (b - 1.0f); }
ASSAY_INLINE Float16 select(Float16 flag, Float16 a, Float16 b) { return flag > 0 ? a : b; }
ASSAY_INLINE bool any(Float16 flag) { return folds::most(flag) > 0; }

// 1 / x, and 0 where x is 0.
ASSAY_INLINE Float16 inverse_of(Float16 x) { return x != 0 ? 1.0f / x : Float16{}; }
ASSAY_INLINE Float16 magnitude(Float16 x) { return lanes::maximum(x, -x); }

constexpr float kLargestHalf = 65504.0f;

// As stored in a block: the nearest half, kept finite.
ASSAY_INLINE float as_half(float value) { return half_to_float(float_to_half(std::clamp(value, -kLargestHalf, kLargestHalf))); }
ASSAY_INLINE Float16 as_halves(Float16 values) {
  float lane[kRuns];
  lanes::store(lane, values);
  for (float& value : lane) value = as_half(value);
  return lanes::load(lane);
}

// A super-block's unit as stored: the half next to `value`, the one above it where halves are too coarse for its levels to reach, so
// that small weights do not vanish.
ASSAY_INLINE float stored_unit(float value) {
  constexpr float kSmallestNormal = 0x1p-14f, kSpacing = 0x1p-24f;
  const float half = as_half(value), size = std::fabs(value);
  return size < kSmallestNormal && std::fabs(half) < size ? half + std::copysign(kSpacing, value) : half;
}

// The value of largest magnitude of each run, sign included; the first of equals.
template <int kSize>
ASSAY_INLINE Float16 signed_extreme(const Runs<kSize>& runs) {
  Float16 extreme = runs.x[0];
  for (int i = 1; i < kSize; ++i) extreme = magnitude(runs.x[i]) > magnitude(extreme) ? runs.x[i] : extreme;
  return extreme;
}

// Error of each run under a scale, with nearest levels.
template <int kSize, class Nearest>
ASSAY_INLINE Float16 error_of(const Runs<kSize>& runs, Float16 scale, const Nearest& nearest) {
  const Float16 inverse = inverse_of(scale);
  Float16 total{};
  for (int i = 0; i < kSize; ++i) {
    const Float16 e = runs.x[i] - scale * nearest(runs.x[i] * inverse);
    total += runs.w[i] * e * e;
  }
  return total;
}

// Likewise under a scale and a minimum, levels 0 .. high.
template <int kSize>
ASSAY_INLINE Float16 affine_error(const Runs<kSize>& runs, Float16 scale, Float16 minimum, float high) {
  const Float16 inverse = inverse_of(scale);
  Float16 total{};
  for (int i = 0; i < kSize; ++i) {
    const Float16 v = runs.x[i] + minimum;
    const Float16 e = v - lanes::clamp(lanes::round(v * inverse), 0, high) * scale;
    total += runs.w[i] * e * e;
  }
  return total;
}

// The fits as stored (fp16), or where that is better the scale that puts the extreme on the level `first`: never worse than the
// rounding without any search.
template <int kSize, class Nearest>
ASSAY_INLINE Float16 store_scale(const Runs<kSize>& runs, Float16 fits, const Nearest& nearest, float first) {
  const Float16 fitted = as_halves(fits), plain = as_halves(signed_extreme(runs) / first);
  return select(above(error_of(runs, fitted, nearest), error_of(runs, plain, nearest)), plain, fitted);
}

// Nearest integer in [low, high].
struct Integers {
  float low, high;
  ASSAY_INLINE Float16 operator()(Float16 x) const { return lanes::clamp(lanes::round(x), low, high); }
};

// x = scale * level, where nearest(x / scale) gives the level. Starts are inverse scales of a run whose extreme is 1. Returns the
// scales; 0 for a run that reaches less far than kSmallestRange.
template <int kSize, class Nearest, class Starts>
ASSAY_INLINE Float16 fit_scale(const Runs<kSize>& runs, const Nearest& nearest, int starts, const Starts& start) {
  const Float16 extreme = signed_extreme(runs);
  const Float16 unit = magnitude(extreme) > kSmallestRange ? 1.0f / extreme : Float16{};
  Float16 scale{}, gain{};  // gain: sum w x^2 minus the error
  const auto consider = [&](Float16 inverse) __attribute__((always_inline)) {
    Float16 sum_xq{}, sum_qq{};
    for (int i = 0; i < kSize; ++i) {
      const Float16 q = nearest(runs.x[i] * inverse), wq = runs.w[i] * q;
      sum_xq += wq * runs.x[i];
      sum_qq += wq * q;
    }
    const Float16 fit = sum_xq / sum_qq, value = fit * sum_xq;  // NaN, never better, where no level is taken
    const Float16 better = above(value, gain);
    scale = select(better, fit, scale);
    gain = select(better, value, gain);
    return better;
  };
  for (int k = 0; k < starts; ++k) consider(unit * start(k));
  for (int step = 0; step < kLloydSteps; ++step)
    if (!any(consider(inverse_of(scale)))) break;
  return unit != 0 ? scale : Float16{};
}

// Levels are the integers in [low, high]. Starts: (low + 0.1 k) / extreme, |k| <= kSteps: the extreme lands near the end that reaches
// further.
template <int kSize, int kSteps>
ASSAY_INLINE Float16 fit_symmetric(const Runs<kSize>& runs, float low, float high) {
  return fit_scale(runs, Integers{low, high}, 2 * kSteps + 1,
                   [=](int k) __attribute__((always_inline)) { return low + 0.1f * static_cast<float>(k - kSteps); });
}

// x = scale * q - minimum, q integer in [0, high].
struct Affine {
  Float16 scale;
  Float16 minimum;
};

// kSigned: the minimum may have either sign (Q4_1, Q5_1); otherwise it is at least 0 (K formats). Starts: steps from the least value
// that divide the range into high + first + step k. Sums are of y = x - least value, so that runs far from zero lose no digits.
template <int kSize, int kSteps, bool kSigned>
ASSAY_INLINE Affine fit_affine(const Runs<kSize>& runs, float high, float first, float step) {
  constexpr float kDegenerate = 1e-6f;  // of the determinant: all weights (that count) on one level
  Float16 low = runs.x[0], top = low;
  for (int i = 1; i < kSize; ++i) {
    low = lanes::minimum(low, runs.x[i]);
    top = lanes::maximum(top, runs.x[i]);
  }
  if (!kSigned) low = lanes::minimum(low, Float16{});
  Float16 y[kSize], sw{}, swy{}, swyy{};
  for (int i = 0; i < kSize; ++i) {
    y[i] = runs.x[i] - low;
    const Float16 wy = runs.w[i] * y[i];
    sw += runs.w[i];
    swy += wy;
    swyy += wy * y[i];
  }
  const Float16 range = top - low, varies = above(range, lanes::splat(kSmallestRange));
  Affine best = {select(varies, range / high, Float16{}), Float16{}};  // x = scale * q + low - minimum while searching
  Float16 least_error = lanes::splat(INFINITY);
  // Rounds with (scale, minimum) = (1 / inverse, minimum) and refits both.
  const auto consider = [&](Float16 inverse, Float16 minimum) __attribute__((always_inline)) {
    Float16 swq{}, swqq{}, swyq{};
    for (int i = 0; i < kSize; ++i) {
      const Float16 q = lanes::clamp(lanes::round((y[i] + minimum) * inverse), 0, high), wq = runs.w[i] * q;
      swq += wq;
      swqq += wq * q;
      swyq += wq * y[i];
    }
    const Float16 product = sw * swqq, determinant = product - swq * swq, regular = above(determinant, kDegenerate * product);
    Float16 scale = (sw * swyq - swy * swq) / determinant;
    Float16 base = (swqq * swy - swq * swyq) / determinant;
    if (!kSigned) {  // where the base is not determined, or above zero: zero, that is -low
      base = select(regular, base, lanes::splat(INFINITY));
      scale = base > -low ? (swyq + low * swq) / swqq : scale;
      base = lanes::minimum(base, -low);
    }
    const Float16 error = swyy + scale * (scale * swqq - 2 * swyq) + base * (base * sw - 2 * swy) + 2 * scale * base * swq;
    Float16 better = both(both(varies, above(scale, Float16{})), above(least_error, error));
    if (kSigned) better = both(better, regular);
    best.scale = select(better, scale, best.scale);
    best.minimum = select(better, -base, best.minimum);
    least_error = select(better, error, least_error);
    return better;
  };
  const Float16 unit = 1.0f / range;
  for (int k = 0; k <= kSteps; ++k) consider(unit * (high + first + step * static_cast<float>(k)), Float16{});
  for (int i = 0; i < kLloydSteps; ++i)
    if (!any(consider(inverse_of(best.scale), best.minimum))) break;
  return {best.scale, best.minimum - low};
}

// As store_scale: the fits as stored, or where that is better the range from the least value to the largest.
template <int kSize>
ASSAY_INLINE Affine store_affine(const Runs<kSize>& runs, const Affine& fits, float high) {
  Float16 low = runs.x[0], top = low;
  for (int i = 1; i < kSize; ++i) {
    low = lanes::minimum(low, runs.x[i]);
    top = lanes::maximum(top, runs.x[i]);
  }
  const Affine fitted = {as_halves(fits.scale), as_halves(fits.minimum)}, plain = {as_halves((top - low) / high), as_halves(-low)};
  const Float16 better =
      above(affine_error(runs, fitted.scale, fitted.minimum, high), affine_error(runs, plain.scale, plain.minimum, high));
  return {select(better, plain.scale, fitted.scale), select(better, plain.minimum, fitted.minimum)};
}

#pragma GCC diagnostic pop

}  // namespace assay::search
