// The steps that choosing codes shares between formats, sixteen rows side by side; inlined into the kernels that use them.
// Internal to codes/.
#pragma once

#include "assay/base/lanes.h"
#include "assay/codes/column_kernels.h"

namespace assay::codes {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"

using lanes::Float16;
using lanes::load;
using lanes::store;

inline constexpr int kStep = 8;  // columns whose changes reach the rest of the block in one go

// g[c] += change * weights[c] for c in [begin, end).
ASSAY_INLINE void add_row(Strip& strip, const float* weights, int begin, int end, Float16 change) {
  for (int c = begin; c < end; ++c) store(strip.g[c], load(strip.g[c]) + change * weights[c]);
}
// The same for kStep rows at once.
ASSAY_INLINE void add_rows(Strip& strip, const float* weights, int begin, int end, const Float16 (&change)[kStep]) {
  for (int c = begin; c < end; ++c) {
    Float16 sum = load(strip.g[c]);
    for (int k = 0; k < kStep; ++k) sum += change[k] * weights[k * kStride + c];
    store(strip.g[c], sum);
  }
}

ASSAY_INLINE bool all_zero(const Float16 (&values)[kStep]) {
  Float16 size{};
  for (const Float16& value : values) size += value * value;
  for (int lane = 0; lane < kRows; ++lane)
    if (size[lane] != 0) return false;
  return true;
}

// Columns from the last to the first; `take(j, target)` returns the value that column j decodes to. Columns are a multiple of kStep;
// `before(first)` is called when all columns behind kStep of them are done. strip.error: sum of D r^2.
template <class Before, class Take>
ASSAY_INLINE void walk_back(const Moments& moments, Strip& strip, const Before& before, const Take& take) {
  Float16 error{};
  for (int begin = moments.columns - kStep; begin >= 0; begin -= kStep) {
    before(begin);
    Float16 passed[kStep];
    for (int k = kStep - 1; k >= 0; --k) {
      const int j = begin + k;
      const Float16 x = load(strip.x[j]), target = x + load(strip.g[j]);
      const Float16 value = take(j, target), missed = target - value;
      store(strip.v[j], value);
      error += missed * missed * moments.diagonal[j];
      passed[k] = x - value;
      add_row(strip, moments.lower + j * kStride, begin, j, passed[k]);
    }
    add_rows(strip, moments.lower + begin * kStride, 0, begin, passed);
  }
  store(strip.error, error);
}

// How v changes per unit of a parameter, column by column.
using Direction = Float16[kColumns];

// What a step along a direction does to the error: it falls by step (2 numerator - step denominator).
struct Slope {
  Float16 numerator{}, denominator{};
  ASSAY_INLINE Float16 gain(Float16 step) const { return step * (numerator + numerator - step * denominator); }
  ASSAY_INLINE Float16 best() const { return denominator > 0 ? numerator / denominator : Float16{}; }
};

// Of columns [begin, end), a multiple of kAtOnce.
ASSAY_INLINE Slope slope_of(const Moments& moments, const Strip& strip, int begin, int end, const Direction& direction) {
  constexpr int kAtOnce = 4;
  Slope slope;
  for (int first = begin; first < end; first += kAtOnce) {
    const float* rows = moments.h + first * kStride;
    Float16 product[kAtOnce] = {};  // of H's rows with the direction of the columns before `first`, twice, and of the square there
    for (int j = begin; j < first; ++j)
      for (int k = 0; k < kAtOnce; ++k) product[k] += direction[j] * rows[k * kStride + j];
    for (int k = 0; k < kAtOnce; ++k) {
      product[k] += product[k];
      for (int m = 0; m < kAtOnce; ++m) product[k] += direction[first + m] * rows[k * kStride + first + m];
      slope.numerator += direction[first + k] * load(strip.g[first + k]);
      slope.denominator += direction[first + k] * product[k];
    }
  }
  return slope;
}

// v += step * direction over [begin, end); g of the whole block follows.
ASSAY_INLINE void move_along(const Moments& moments, Strip& strip, int begin, int end, Float16 step, const Direction& direction) {
  for (int i = begin; i < end; i += kStep) {
    Float16 change[kStep];
    for (int k = 0; k < kStep; ++k) {
      const Float16 move = step * direction[i + k];
      store(strip.v[i + k], load(strip.v[i + k]) + move);
      change[k] = -move;
    }
    add_rows(strip, moments.h + i * kStride, 0, moments.columns, change);
  }
}

ASSAY_INLINE Float16 each(Float16 values, const auto& one) {
  for (int lane = 0; lane < kRows; ++lane) values[lane] = one(values[lane]);
  return values;
}

ASSAY_INLINE bool any_above_zero(Float16 values) {
  for (int lane = 0; lane < kRows; ++lane)
    if (values[lane] > 0) return true;
  return false;
}

// One parameter of columns [begin, end): from `now` to the storable value nearest to its optimum, in the rows where that lowers the
// error. Returns the new values.
template <class Store>
ASSAY_INLINE Float16 descend_parameter(const Moments& moments, Strip& strip, int begin, int end, Float16 now, Float16& fell,
                                       const Direction& direction, const Store& nearest_stored) {
  const Slope slope = slope_of(moments, strip, begin, end, direction);
  const Float16 wanted = each(now + slope.best(), nearest_stored), step = wanted - now, gain = slope.gain(step);
  if (!any_above_zero(gain)) return now;
  const Float16 taken = gain > 0 ? step : Float16{};
  fell += gain > 0 ? gain : Float16{};
  move_along(moments, strip, begin, end, taken, direction);
  return gain > 0 ? wanted : now;
}

#pragma GCC diagnostic pop

}  // namespace assay::codes
