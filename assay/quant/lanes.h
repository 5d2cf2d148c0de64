// Sixteen float lanes for the encoders, on GCC's vector types: the compiler lowers them to SSE, AVX2 or AVX-512 (ASSAY_QUANT_CLONES
// compiles a function for each and the loader picks). Sums run in a fixed order and products are never contracted, so the bytes of an
// encoding are equal on every CPU. Everything is inlined into its caller: no vector crosses a call.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
#define ASSAY_QUANT_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define ASSAY_QUANT_CLONES
#endif
#define ASSAY_INLINE inline __attribute__((always_inline))

namespace assay::lanes {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"

using Float16 = float __attribute__((vector_size(64)));
using Int16 = int32_t __attribute__((vector_size(64)));

ASSAY_INLINE Float16 splat(float value) { return Float16{} + value; }

ASSAY_INLINE Float16 load(const float* at) {
  Float16 value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

ASSAY_INLINE void store(float* at, Float16 value) { std::memcpy(at, &value, sizeof value); }

// Nearest integer, ties to even; |x| < 2^22.
ASSAY_INLINE Float16 round(Float16 x) {
  const Float16 magic = splat(12582912.0f);
  return (x + magic) - magic;
}

ASSAY_INLINE Float16 minimum(Float16 a, Float16 b) { return a < b ? a : b; }
ASSAY_INLINE Float16 maximum(Float16 a, Float16 b) { return a > b ? a : b; }
ASSAY_INLINE Float16 clamp(Float16 x, float low, float high) { return minimum(maximum(x, splat(low)), splat(high)); }

// Sum of the lanes: halves added, five levels.
ASSAY_INLINE float sum(Float16 x) {
  float lane[16];
  std::memcpy(lane, &x, sizeof lane);
  for (int width = 8; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) lane[i] += lane[i + width];
  return lane[0];
}

#pragma GCC diagnostic pop

}  // namespace assay::lanes
