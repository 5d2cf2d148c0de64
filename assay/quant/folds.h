// One number out of sixteen lanes, and sixteen lanes into bytes. Halves are combined first, then quarters, and so on: the order of
// lanes::sum, spelled out in ever smaller vectors so that no lane goes through memory. Internal to quant/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "assay/base/lanes.h"

namespace assay::folds {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"

using lanes::Float16;
using lanes::Int16;

// Lanes of Wide (Float16 or Int16) combined by the associative operation, written for vectors of any width.
template <class Wide, class Operation>
ASSAY_INLINE auto fold(Wide x, Operation combine) {
  const auto eight =
      combine(__builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7), __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15));
  const auto four = combine(__builtin_shufflevector(eight, eight, 0, 1, 2, 3), __builtin_shufflevector(eight, eight, 4, 5, 6, 7));
  const auto two = combine(four, __builtin_shufflevector(four, four, 2, 3, 2, 3));
  const auto one = combine(two, __builtin_shufflevector(two, two, 1, 1, 1, 1));
  return one[0];
}

// Bit for bit lanes::sum.
ASSAY_INLINE float sum(Float16 x) {
  return fold(x, [](auto a, auto b) __attribute__((always_inline)) { return a + b; });
}
ASSAY_INLINE float least(Float16 x) {
  return fold(x, [](auto a, auto b) __attribute__((always_inline)) { return a < b ? a : b; });
}
ASSAY_INLINE float most(Float16 x) {
  return fold(x, [](auto a, auto b) __attribute__((always_inline)) { return a > b ? a : b; });
}
ASSAY_INLINE int32_t all_bits(Int16 x) {
  return fold(x, [](auto a, auto b) __attribute__((always_inline)) { return a | b; });
}
ASSAY_INLINE bool any(Int16 mask) { return all_bits(mask) != 0; }

// The low byte of every lane.
template <class Byte>
ASSAY_INLINE void store_bytes(Int16 x, Byte* at) {
  static_assert(sizeof(Byte) == 1);
  using Bytes = uint8_t __attribute__((vector_size(16)));
  const Bytes bytes = __builtin_convertvector(x, Bytes);
  std::memcpy(at, &bytes, sizeof bytes);
}

// Toward zero; |x| < 2^31.
ASSAY_INLINE Int16 whole(Float16 x) { return __builtin_convertvector(x, Int16); }

#pragma GCC diagnostic pop

}  // namespace assay::folds
