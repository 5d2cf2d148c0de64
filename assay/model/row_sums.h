// Sums over a row in 16 fixed lanes that are reduced in a fixed tree: the same bytes from every instruction set. Internal to model/.
#pragma once

#include <cstddef>

namespace assay::row {

inline constexpr size_t kLanes = 16;

inline float reduce(float (&lane)[kLanes]) {
  for (size_t width = kLanes / 2; width > 0; width /= 2)
    for (size_t i = 0; i < width; ++i) lane[i] += lane[i + width];
  return lane[0];
}

// Sum of value(i), i < n.
template <class Value>
inline __attribute__((always_inline)) float lane_sum(size_t n, const Value& value) {
  float lane[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (size_t j = 0; j < kLanes; ++j) lane[j] += value(i + j);
  for (size_t j = 0; i + j < n; ++j) lane[j] += value(i + j);
  return reduce(lane);
}

inline float sum_of(const float* x, size_t n) {
  return lane_sum(n, [x](size_t i) { return x[i]; });
}
// Sum of (x - center)^2.
inline float square_sum(const float* x, float center, size_t n) {
  return lane_sum(n, [x, center](size_t i) { return (x[i] - center) * (x[i] - center); });
}

}  // namespace assay::row
