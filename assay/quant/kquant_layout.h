// Where the K formats keep their sub-block scales (methods.md 4.2.3). Shared by decoders, code access and encoders.
#pragma once

#include <cstddef>
#include <cstdint>

#include "assay/quant/half.h"

namespace assay::kquant {

struct ScaleMin {
  unsigned scale = 0;
  unsigned minimum = 0;
};

// Q4_K, Q5_K: 6-bit scale and minimum of sub-block k (0-7) in 12 bytes.
inline ScaleMin get_scale_min(const std::byte* s, uint32_t k) {
  if (k < 4) return {load_u8(s + k) & 63u, load_u8(s + k + 4) & 63u};
  return {(load_u8(s + k + 4) & 15u) | (load_u8(s + k - 4) >> 6) << 4, (load_u8(s + k + 4) >> 4) | (load_u8(s + k) >> 6) << 4};
}

// All eight at once; overwrites the 12 bytes.
inline void put_scale_mins(std::byte* s, const uint8_t (&scales)[8], const uint8_t (&minima)[8]) {
  for (uint32_t k = 0; k < 4; ++k) {
    s[k] = static_cast<std::byte>(scales[k] | (scales[k + 4] >> 4) << 6);
    s[k + 4] = static_cast<std::byte>(minima[k] | (minima[k + 4] >> 4) << 6);
    s[k + 8] = static_cast<std::byte>((scales[k + 4] & 15) | (minima[k + 4] & 15) << 4);
  }
}

// Q3_K: 6-bit scale of sub-block k (0-15), stored plus 32.
inline int get_q3_scale(const std::byte* s, uint32_t k) {
  const unsigned low = k < 8 ? load_u8(s + k) & 15u : load_u8(s + k - 8) >> 4;
  const unsigned high = (load_u8(s + 8 + k % 4) >> (2 * (k / 4))) & 3u;
  return static_cast<int>(low | high << 4) - 32;
}

inline void put_q3_scales(std::byte* s, const int8_t (&scales)[16]) {
  for (uint32_t i = 0; i < 12; ++i) s[i] = std::byte{0};
  for (uint32_t k = 0; k < 16; ++k) {
    const auto raw = static_cast<unsigned>(scales[k] + 32);
    s[k % 8] |= static_cast<std::byte>((raw & 15u) << (k < 8 ? 0 : 4));
    s[8 + k % 4] |= static_cast<std::byte>((raw >> 4) << (2 * (k / 4)));
  }
}

}  // namespace assay::kquant
