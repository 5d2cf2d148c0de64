// Elementary functions for loops that the compiler vectorises: branch-free, float32, equal bytes on every CPU capability
// (compile with -ffp-contract=off). Ranges and errors are tested in tests/base/vector_math_test.cpp.
#pragma once

#include <bit>
#include <cstdint>

namespace assay {

// e^x, relative error below 2e-7 (2 ulp) for x in [-87, 88]; clamped outside, so never infinite and never 0. NaN gives NaN.
inline float fast_exp(float x) {
  constexpr float kLow = -87.0f, kHigh = 88.0f, kLog2E = 1.44269504f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  const float clamped = x < kLow ? kLow : (x > kHigh ? kHigh : x);
  // Round to nearest by the magic number 1.5 * 2^23; its low bits then hold the integer.
  const float shifted = clamped * kLog2E + 12582912.0f;
  const int32_t power = std::bit_cast<int32_t>(shifted) - 0x4B400000;
  const float n = shifted - 12582912.0f;
  const float r = (clamped - n * kLn2High) - n * kLn2Low;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = (p * r) * r + r + 1.0f;
  return p * std::bit_cast<float>((power + 127) << 23);
}

}  // namespace assay
