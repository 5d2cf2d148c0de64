// The scale formats of the four-bit floating-point types, each with the factor 1/2 that makes E2M1's values whole (methods.md 4.2.3).
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace assay {

// 2^(e - 128); e = 0 and 1 give subnormal numbers.
inline float e8m0_half(unsigned e) { return std::bit_cast<float>(e < 2 ? 0x00200000u << e : (e - 1) << 23); }
// The code of a power of two, the nearest end outside the range; 255 (NaN) is never given.
inline unsigned e8m0_half_code(float power) { return static_cast<unsigned>(std::clamp(std::ilogb(power) + 128, 0, 254)); }

// Unsigned E4M3 with bias 7, halved; 0 and the NaN code decode to 0.
inline float ue4m3_half(unsigned code) {
  if (code == 0 || code == 0x7F) return 0;
  const unsigned exponent = (code >> 3) & 15u, mantissa = code & 7u;
  const float value = exponent == 0 ? static_cast<float>(mantissa) * 0x1.0p-9f
                                    : (1.0f + static_cast<float>(mantissa) * 0.125f) * std::bit_cast<float>((exponent + 120u) << 23);
  return 0.5f * value;
}

}  // namespace assay
