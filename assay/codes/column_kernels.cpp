#include "assay/codes/column_kernels.h"

#include <algorithm>
#include <cmath>

#include "assay/base/simd.h"
#include "assay/codes/strip_steps.h"

namespace assay::codes {
namespace {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"

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

template <class Codes>
ASSAY_INLINE void feedback_with(const Codes& codes, const ScaleLayout& layout, const Moments& moments, Strip& strip) {
  const int group = static_cast<int>(layout.group);
  int current = -1;
  Grid grid{};
  walk_back(
      moments, strip, [](int) {},
      [&](int j, Float16 target) __attribute__((always_inline)) {
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
      const float* row = moments.h + j * kStride;
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
    const float* rows = moments.h + begin * kStride;
    add_rows(strip, rows, 0, begin, change);
    add_rows(strip, rows, begin + kStep, moments.columns, change);
  }
  store(strip.error, load(strip.error) + fell);
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

ASSAY_INLINE void carry_body(const float* tile, const Strip& from, int from_columns, Strip& to, int to_columns) {
  Float16 e[kColumns];
  for (int j = 0; j < from_columns; ++j) e[j] = load(from.x[j]) - load(from.v[j]);
  for (int begin = 0; begin < to_columns; begin += kPanel) {
    Float16 sum[kPanel];
#pragma GCC unroll 16
    for (int c = 0; c < kPanel; ++c) sum[c] = load(to.g[begin + c]);
    for (int j = 0; j < from_columns; ++j) {
      const float* row = tile + j * kStride + begin;
#pragma GCC unroll 16
      for (int c = 0; c < kPanel; ++c) sum[c] += e[j] * row[c];
    }
#pragma GCC unroll 16
    for (int c = 0; c < kPanel; ++c) store(to.g[begin + c], sum[c]);
  }
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
  walk_back(moments, strip, [](int) {}, [&](int j, Float16) __attribute__((always_inline)) { return load(strip.v[j]); });
}
ASSAY_INLINE void descend_codes_body(const ScaleLayout& layout, const Moments& moments, Strip& strip) {
  with_codes(layout, [&](const auto& codes) __attribute__((always_inline)) { descend_codes_with(codes, layout, moments, strip); });
}
ASSAY_INLINE void descend_scales_body(const ScaleLayout& layout, const Moments& moments, Strip& strip) {
  with_codes(layout, [&](const auto& codes) __attribute__((always_inline)) { descend_scales_with(codes, layout, moments, strip); });
}

#pragma GCC diagnostic pop

}  // namespace

ASSAY_KERNEL(void, carry, carry_body, (const float* tile, const Strip& from, int from_columns, Strip& to, int to_columns),
             (tile, from, from_columns, to, to_columns))
ASSAY_KERNEL(void, decode, decode_body, (const ScaleLayout& layout, int columns, Strip& strip), (layout, columns, strip))
ASSAY_KERNEL(void, feedback, feedback_body, (const ScaleLayout& layout, const Moments& moments, Strip& strip), (layout, moments, strip))
ASSAY_KERNEL(void, feedback_error, feedback_error_body, (const Moments& moments, Strip& strip), (moments, strip))
ASSAY_KERNEL(void, descend_codes, descend_codes_body, (const ScaleLayout& layout, const Moments& moments, Strip& strip),
             (layout, moments, strip))
ASSAY_KERNEL(void, descend_scales, descend_scales_body, (const ScaleLayout& layout, const Moments& moments, Strip& strip),
             (layout, moments, strip))

}  // namespace assay::codes
