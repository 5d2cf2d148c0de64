#include "assay/codes/column_kernels.h"

#include <algorithm>
#include <cmath>

#include "assay/base/lanes.h"
#include "assay/base/simd.h"

namespace assay::codes {
namespace {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"

using lanes::Float16;
using lanes::load;
using lanes::store;

constexpr int kStep = 8;  // columns whose changes reach the rest of the block in one go

struct Choice {
  Float16 code, level;
};

// Nearest code of a format whose codes are their own levels.
struct LinearCodes {
  float low, high;
  ASSAY_INLINE Choice nearest(Float16 t) const {
    const Float16 code = lanes::clamp(lanes::round(lanes::clamp(t, low, high)), low, high);
    return {code, code};
  }
  ASSAY_INLINE Float16 level(Float16 code) const { return code; }
};

// Nearest code of a format with a table of levels, ascending.
struct TableCodes {
  const float* levels;
  int count;
  float low;  // code of levels[0]
  ASSAY_INLINE Choice nearest(Float16 t) const {
    Choice choice = {lanes::splat(low), lanes::splat(levels[0])};
    for (int k = 1; k < count; ++k) {
      const float middle = 0.5f * (levels[k - 1] + levels[k]);
      choice.level = t > middle ? lanes::splat(levels[k]) : choice.level;
      choice.code = t > middle ? lanes::splat(low + static_cast<float>(k)) : choice.code;
    }
    return choice;
  }
  ASSAY_INLINE Float16 level(Float16 code) const {
    Float16 value = lanes::splat(levels[0]);
    for (int k = 1; k < count; ++k) value = code > low + static_cast<float>(k) - 0.5f ? lanes::splat(levels[k]) : value;
    return value;
  }
};

template <class Body>
ASSAY_INLINE void with_codes(const ScaleLayout& layout, const Body& body) {
  if (layout.levels.empty()) {
    body(LinearCodes{static_cast<float>(layout.low_code), static_cast<float>(layout.high_code)});
  } else {
    body(TableCodes{layout.levels.data(), static_cast<int>(layout.levels.size()), static_cast<float>(layout.low_code)});
  }
}

// A group's full scale and minimum, as the decoder multiplies them.
struct Grid {
  Float16 scale, minimum, inverse;
};
ASSAY_INLINE Grid grid_of(const Strip& strip, int group) {
  Grid grid;
  grid.scale = load(strip.unit[group]) * load(strip.scale[group]);
  grid.minimum = load(strip.min_unit[group]) * load(strip.minimum[group]);
  grid.inverse = grid.scale != 0 ? 1.0f / grid.scale : Float16{};
  return grid;
}

// g[c] += change * weights[c] for c in [begin, end).
ASSAY_INLINE void add_row(Strip& strip, const float* weights, int begin, int end, Float16 change) {
  for (int c = begin; c < end; ++c) store(strip.g[c], load(strip.g[c]) + change * weights[c]);
}
// The same for kStep rows at once.
ASSAY_INLINE void add_rows(Strip& strip, const float* weights, int begin, int end, const Float16 (&change)[kStep]) {
  for (int c = begin; c < end; ++c) {
    Float16 sum = load(strip.g[c]);
    for (int k = 0; k < kStep; ++k) sum += change[k] * weights[k * kColumns + c];
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

// Columns from the last to the first; `take(j, target)` returns the value that column j decodes to. Columns are a multiple of kStep.
template <class Take>
ASSAY_INLINE void walk_back(const Moments& moments, Strip& strip, const Take& take) {
  Float16 error{};
  for (int begin = moments.columns - kStep; begin >= 0; begin -= kStep) {
    Float16 passed[kStep];
    for (int k = kStep - 1; k >= 0; --k) {
      const int j = begin + k;
      const Float16 x = load(strip.x[j]), target = x + load(strip.g[j]);
      const Float16 value = take(j, target), missed = target - value;
      store(strip.v[j], value);
      error += missed * missed * moments.diagonal[j];
      passed[k] = x - value;
      add_row(strip, moments.lower + j * kColumns, begin, j, passed[k]);
    }
    add_rows(strip, moments.lower + begin * kColumns, 0, begin, passed);
  }
  store(strip.error, error);
}

template <class Codes>
ASSAY_INLINE void feedback_with(const Codes& codes, const ScaleLayout& layout, const Moments& moments, Strip& strip) {
  const int group = static_cast<int>(layout.group);
  int current = -1;
  Grid grid{};
  walk_back(moments, strip, [&](int j, Float16 target) __attribute__((always_inline)) {
    if (j / group != current) {
      current = j / group;
      grid = grid_of(strip, current);
    }
    const Choice choice = codes.nearest((target + grid.minimum) * grid.inverse);
    store(strip.code[j], choice.code);
    return grid.scale * choice.level - grid.minimum;
  });
}

template <class Codes>
ASSAY_INLINE void descend_codes_with(const Codes& codes, const ScaleLayout& layout, const Moments& moments, Strip& strip) {
  const int group = static_cast<int>(layout.group);
  Float16 fell{};
  for (int begin = 0; begin < moments.columns; begin += kStep) {
    const Grid grid = grid_of(strip, begin / group);
    Float16 change[kStep];  // of e: minus the change of v
    for (int k = 0; k < kStep; ++k) {
      const int j = begin + k;
      const float* row = moments.h + j * kColumns;
      const Float16 v = load(strip.v[j]), g = load(strip.g[j]), h = lanes::splat(row[j]), code = load(strip.code[j]);
      const Choice choice = codes.nearest((v + g / h + grid.minimum) * grid.inverse);
      const Float16 value = grid.scale * choice.level - grid.minimum, step = value - v;
      const Float16 gain = step * (g + g - step * h);
      const Float16 better = gain > 0 ? lanes::splat(1) : Float16{};
      store(strip.code[j], better > 0 ? choice.code : code);
      store(strip.v[j], better > 0 ? value : v);
      fell += better > 0 ? gain : Float16{};
      change[k] = better > 0 ? -step : Float16{};
      add_row(strip, row, begin, begin + kStep, change[k]);
    }
    if (all_zero(change)) continue;
    const float* rows = moments.h + begin * kColumns;
    add_rows(strip, rows, 0, begin, change);
    add_rows(strip, rows, begin + kStep, moments.columns, change);
  }
  store(strip.error, load(strip.error) + fell);
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
    const float* rows = moments.h + first * kColumns;
    Float16 product[kAtOnce] = {};  // of H's rows with the direction of the columns before `first`, twice, and of the square there
    for (int j = begin; j < first; ++j)
      for (int k = 0; k < kAtOnce; ++k) product[k] += direction[j] * rows[k * kColumns + j];
    for (int k = 0; k < kAtOnce; ++k) {
      product[k] += product[k];
      for (int m = 0; m < kAtOnce; ++m) product[k] += direction[first + m] * rows[k * kColumns + first + m];
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
    add_rows(strip, moments.h + i * kColumns, 0, moments.columns, change);
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

template <class Codes>
ASSAY_INLINE void descend_scales_with(const Codes& codes, const ScaleLayout& layout, const Moments& moments, Strip& strip) {
  const int group = static_cast<int>(layout.group), block = static_cast<int>(layout.block);
  Float16 fell{};
  Float16 level[kColumns], direction[kColumns];
  for (int i = 0; i < moments.columns; ++i) level[i] = codes.level(load(strip.code[i]));
  // Group by group: the scale that multiplies the levels, and the minimum that is subtracted.
  for (int begin = 0; begin < moments.columns; begin += group) {
    const int k = begin / group, end = std::min(begin + group, moments.columns);
    if (layout.has_group_scales()) {
      const Float16 unit = load(strip.unit[k]);
      for (int i = begin; i < end; ++i) direction[i] = unit * level[i];
      store(strip.scale[k], descend_parameter(moments, strip, begin, end, load(strip.scale[k]), fell, direction,
                                              [&](float wanted) { return nearest_scale(layout.scales, wanted); }));
    }
    if (layout.minimum_high > 1) {
      const Float16 unit = load(strip.min_unit[k]);
      for (int i = begin; i < end; ++i) direction[i] = -unit;
      store(strip.minimum[k], descend_parameter(moments, strip, begin, end, load(strip.minimum[k]), fell, direction, [&](float wanted) {
              return std::clamp(std::nearbyint(wanted), layout.minimum_low, layout.minimum_high);
            }));
    }
  }
  // Block by block of the format: the units of all its groups.
  for (int begin = 0; begin < moments.columns; begin += block) {
    const int first = begin / group, end = std::min(begin + block, moments.columns), groups = (end - begin + group - 1) / group;
    if (layout.unit != UnitForm::kOne) {
      for (int i = begin; i < end; ++i) direction[i] = load(strip.scale[i / group]) * level[i];
      const Float16 unit = descend_parameter(moments, strip, begin, end, load(strip.unit[first]), fell, direction,
                                             [&](float wanted) { return nearest_unit(layout.unit, wanted); });
      for (int k = 0; k < groups; ++k) store(strip.unit[first + k], unit);
    }
    if (layout.has_minimum()) {
      for (int i = begin; i < end; ++i) direction[i] = -load(strip.minimum[i / group]);
      const Float16 unit = descend_parameter(moments, strip, begin, end, load(strip.min_unit[first]), fell, direction,
                                             [&](float wanted) { return nearest_unit(UnitForm::kHalf, wanted); });
      for (int k = 0; k < groups; ++k) store(strip.min_unit[first + k], unit);
    }
  }
  store(strip.error, load(strip.error) + fell);
}

ASSAY_INLINE void decode_body(const ScaleLayout& layout, int columns, Strip& strip) {
  with_codes(layout, [&](const auto& codes) __attribute__((always_inline)) {
    for (int j = 0; j < columns; ++j) {
      const Grid grid = grid_of(strip, j / static_cast<int>(layout.group));
      store(strip.v[j], grid.scale * codes.level(load(strip.code[j])) - grid.minimum);
    }
  });
}
ASSAY_INLINE void feedback_body(const ScaleLayout& layout, const Moments& moments, Strip& strip) {
  with_codes(layout, [&](const auto& codes) __attribute__((always_inline)) { feedback_with(codes, layout, moments, strip); });
}
ASSAY_INLINE void feedback_error_body(const Moments& moments, Strip& strip) {
  walk_back(moments, strip, [&](int j, Float16) __attribute__((always_inline)) { return load(strip.v[j]); });
}
ASSAY_INLINE void descend_codes_body(const ScaleLayout& layout, const Moments& moments, Strip& strip) {
  with_codes(layout, [&](const auto& codes) __attribute__((always_inline)) { descend_codes_with(codes, layout, moments, strip); });
}
ASSAY_INLINE void descend_scales_body(const ScaleLayout& layout, const Moments& moments, Strip& strip) {
  with_codes(layout, [&](const auto& codes) __attribute__((always_inline)) { descend_scales_with(codes, layout, moments, strip); });
}

#pragma GCC diagnostic pop

}  // namespace

ASSAY_KERNEL(void, decode, decode_body, (const ScaleLayout& layout, int columns, Strip& strip), (layout, columns, strip))
ASSAY_KERNEL(void, feedback, feedback_body, (const ScaleLayout& layout, const Moments& moments, Strip& strip), (layout, moments, strip))
ASSAY_KERNEL(void, feedback_error, feedback_error_body, (const Moments& moments, Strip& strip), (moments, strip))
ASSAY_KERNEL(void, descend_codes, descend_codes_body, (const ScaleLayout& layout, const Moments& moments, Strip& strip),
             (layout, moments, strip))
ASSAY_KERNEL(void, descend_scales, descend_scales_body, (const ScaleLayout& layout, const Moments& moments, Strip& strip),
             (layout, moments, strip))

}  // namespace assay::codes
