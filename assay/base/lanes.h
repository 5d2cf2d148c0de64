// Sixteen float lanes on GCC's vector types: the compiler lowers them to SSE, AVX2 or AVX-512 (ASSAY_CLONES compiles a function for each
// and the loader picks). Sums run in a fixed order and products are never contracted, so the bytes of an
// result are equal on every CPU. Everything is inlined into its caller: no vector crosses a call.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
#define ASSAY_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define ASSAY_CLONES
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

// e^x = (1 + r + q r^2) 2^power, |r| <= ln(2) / 2; x is clamped to [-87, 88].
struct ExpParts {
  Float16 r, q;
  Int16 power;
};

ASSAY_INLINE ExpParts exp_parts(Float16 x) {
  x = x < -87.0f ? splat(-87.0f) : x;
  x = x > 88.0f ? splat(88.0f) : x;
  const Float16 shifted = x * 1.44269504f + 12582912.0f;
  const Float16 n = shifted - 12582912.0f;
  const Float16 r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  Float16 q = splat(1.9875691500e-4f);
  q = q * r + 1.3981999507e-3f;
  q = q * r + 8.3334519073e-3f;
  q = q * r + 4.1665795894e-2f;
  q = q * r + 1.6666665459e-1f;
  q = q * r + 5.0000001201e-1f;
  return {r, q, (Int16)shifted - 0x4B400000};
}

ASSAY_INLINE Float16 exp_value(const ExpParts& e) {
  const Float16 p = (e.q * e.r) * e.r + e.r + 1.0f;
  return p * (Float16)((e.power + 127) << 23);
}

// fast_exp (vector_math.h), lane by lane.
ASSAY_INLINE Float16 exp(Float16 x) { return exp_value(exp_parts(x)); }

// e^x - 1 - x >= 0 without cancellation: relative error below 4e-6 (near |x| = 0.35; below 3e-7 under it).
ASSAY_INLINE Float16 exp_excess(Float16 x) {
  const ExpParts e = exp_parts(x);
  return e.power == 0 ? (e.q * e.r) * e.r : (exp_value(e) - 1.0f) - x;
}

#pragma GCC diagnostic pop

}  // namespace assay::lanes
