// Formats with codebook grids or the non-linear 4-bit table: IQ1_S .. IQ4_XS. Layouts: methods.md 4.2.3.
#include <array>

#include "assay/quant/families.h"
#include "assay/quant/grid_codes.h"
#include "assay/quant/grid_tables.h"
#include "assay/quant/half.h"
#include "assay/quant/iq1_encode.h"
#include "assay/quant/iq2_encode.h"
#include "assay/quant/iq3_encode.h"
#include "assay/quant/iq4_encode.h"

namespace assay {
namespace {

template <size_t kWidth>
void put_point(const int8_t (&point)[kWidth], unsigned signs, float scale, float* out) {
  for (uint32_t j = 0; j < kWidth; ++j) {
    const float magnitude = scale * static_cast<float>(point[j]);
    out[j] = (signs >> j) & 1u ? -magnitude : magnitude;
  }
}

void decode_iq2_xxs(const std::byte* block, float* out) {
  const float d = load_half(block);
  for (uint32_t run = 0; run < 8; ++run) {
    const std::byte* group = block + 2 + 8 * run;
    const uint32_t packed = load_u32(group + 4);
    const float scale = d * (0.5f + static_cast<float>(packed >> 28)) * 0.25f;
    for (uint32_t l = 0; l < 4; ++l)
      put_point(kIq2XxsGrid[load_u8(group + l)], even_signs((packed >> (7 * l)) & 127u), scale, out + 32 * run + 8 * l);
  }
}

// Scale of sub-run l (0-3) of 8 weights: one nibble per 16.
float iq2_scale(float d, unsigned nibbles, uint32_t l) {
  return d * (0.5f + static_cast<float>(l < 2 ? nibbles & 15u : nibbles >> 4)) * 0.25f;
}

void decode_iq2_xs(const std::byte* block, float* out) {
  const float d = load_half(block);
  for (uint32_t run = 0; run < 8; ++run)
    for (uint32_t l = 0; l < 4; ++l) {
      const unsigned code = load_u16(block + 2 + 8 * run + 2 * l);
      put_point(kIq2XsGrid[code & 511u], even_signs(code >> 9), iq2_scale(d, load_u8(block + 66 + run), l), out + 32 * run + 8 * l);
    }
}

void decode_iq2_s(const std::byte* block, float* out) {
  const float d = load_half(block);
  const std::byte *qs = block + 2, *signs = block + 34, *qh = block + 66, *scales = block + 74;
  for (uint32_t run = 0; run < 8; ++run)
    for (uint32_t l = 0; l < 4; ++l) {
      const unsigned index = load_u8(qs + 4 * run + l) | ((load_u8(qh + run) >> (2 * l)) & 3u) << 8;
      put_point(kIq2SGrid[index], load_u8(signs + 4 * run + l), iq2_scale(d, load_u8(scales + run), l), out + 32 * run + 8 * l);
    }
}

void decode_iq3_xxs(const std::byte* block, float* out) {
  const float d = load_half(block);
  for (uint32_t run = 0; run < 8; ++run) {
    const uint32_t packed = load_u32(block + 66 + 4 * run);
    const float scale = d * (0.5f + static_cast<float>(packed >> 28)) * 0.5f;
    for (uint32_t i = 0; i < 8; ++i) {
      const unsigned signs = even_signs((packed >> (7 * (i / 2))) & 127u) >> (4 * (i % 2));
      put_point(kIq3XxsGrid[load_u8(block + 2 + 8 * run + i)], signs, scale, out + 32 * run + 4 * i);
    }
  }
}

void decode_iq3_s(const std::byte* block, float* out) {
  const float d = load_half(block);
  const std::byte *qs = block + 2, *qh = block + 66, *signs = block + 74, *scales = block + 106;
  for (uint32_t run = 0; run < 8; ++run) {
    const unsigned nibble = (load_u8(scales + run / 2) >> (4 * (run % 2))) & 15u;
    const float scale = d * static_cast<float>(1 + 2 * nibble);
    for (uint32_t i = 0; i < 8; ++i) {
      const unsigned index = load_u8(qs + 8 * run + i) | ((load_u8(qh + run) >> i) & 1u) << 8;
      put_point(kIq3SGrid[index], load_u8(signs + 4 * run + i / 2) >> (4 * (i % 2)), scale, out + 32 * run + 4 * i);
    }
  }
}

constexpr float kIq1Delta = 0.125f;

void put_ternary(unsigned index, float delta, float scale, float* out) {
  for (uint32_t j = 0; j < 8; ++j) out[j] = scale * (static_cast<float>(kIq1SGrid[index][j]) + delta);
}

void decode_iq1_s(const std::byte* block, float* out) {
  const float d = load_half(block);
  for (uint32_t run = 0; run < 8; ++run) {
    const unsigned qh = load_u16(block + 34 + 2 * run);
    const float scale = d * static_cast<float>(2 * ((qh >> 12) & 7u) + 1), delta = qh & 0x8000u ? -kIq1Delta : kIq1Delta;
    for (uint32_t l = 0; l < 4; ++l)
      put_ternary(load_u8(block + 2 + 4 * run + l) | ((qh >> (3 * l)) & 7u) << 8, delta, scale, out + 32 * run + 8 * l);
  }
}

void decode_iq1_m(const std::byte* block, float* out) {
  const std::byte *qs = block, *qh = block + 32, *scales = block + 48;
  unsigned half = 0;
  for (uint32_t i = 0; i < 4; ++i) half |= (load_u16(scales + 2 * i) >> 12) << (4 * i);
  const float d = half_to_float(static_cast<uint16_t>(half));
  for (uint32_t n = 0; n < 32; ++n) {
    const unsigned nibble = (load_u8(qh + n / 2) >> (4 * (n % 2))) & 15u;
    const uint32_t m = n / 2;
    const unsigned s = (load_u16(scales + 2 * (m / 4)) >> (3 * (m % 4))) & 7u;
    put_ternary(load_u8(qs + n) | (nibble & 7u) << 8, nibble & 8u ? -kIq1Delta : kIq1Delta, d * static_cast<float>(2 * s + 1), out + 8 * n);
  }
}

void put_iq4(const std::byte* qs, float scale, float* out) {
  for (uint32_t j = 0; j < 16; ++j) {
    out[j] = scale * kIq4Values[load_u8(qs + j) & 15u];
    out[j + 16] = scale * kIq4Values[load_u8(qs + j) >> 4];
  }
}

void decode_iq4_nl(const std::byte* block, float* out) { put_iq4(block + 2, load_half(block), out); }

void decode_iq4_xs(const std::byte* block, float* out) {
  const float d = load_half(block);
  const unsigned high = load_u16(block + 2);
  for (uint32_t k = 0; k < 8; ++k) {
    const unsigned ls = ((load_u8(block + 4 + k / 2) >> (4 * (k % 2))) & 15u) | ((high >> (2 * k)) & 3u) << 4;
    put_iq4(block + 8 + 16 * k, d * static_cast<float>(static_cast<int>(ls) - 32), out + 32 * k);
  }
}

// Code access of the 4-bit tables: the code is the index into the ascending table. kHead: bytes before the nibbles.
template <uint32_t kHead>
int get_iq4(const std::byte* block, uint32_t i) {
  const unsigned byte = load_u8(block + kHead + i / 32 * 16 + i % 16);
  return static_cast<int>(i % 32 < 16 ? byte & 15u : byte >> 4);
}
template <uint32_t kHead>
void set_iq4(std::byte* block, uint32_t i, int code) {
  std::byte& byte = block[kHead + i / 32 * 16 + i % 16];
  const unsigned old = static_cast<unsigned>(byte), raw = static_cast<unsigned>(code) & 15u;
  byte = static_cast<std::byte>(i % 32 < 16 ? (old & 0xF0u) | raw : (old & 15u) | raw << 4);
}

constexpr CodeAccess kIq4NlCodes = {0, 15, get_iq4<2>, set_iq4<2>};
constexpr CodeAccess kIq4XsCodes = {0, 15, get_iq4<8>, set_iq4<8>};

}  // namespace

std::span<const Codec> iq_codecs() {
  static const std::array codecs = {
      Codec{find_type(GgmlType::kIQ1_S), decode_blocks<256, 50, decode_iq1_s>, encode_iq1_s, nullptr},
      Codec{find_type(GgmlType::kIQ1_M), decode_blocks<256, 56, decode_iq1_m>, encode_iq1_m, nullptr},
      Codec{find_type(GgmlType::kIQ2_XXS), decode_blocks<256, 66, decode_iq2_xxs>, encode_iq2_xxs, nullptr},
      Codec{find_type(GgmlType::kIQ2_XS), decode_blocks<256, 74, decode_iq2_xs>, encode_iq2_xs, nullptr},
      Codec{find_type(GgmlType::kIQ2_S), decode_blocks<256, 82, decode_iq2_s>, encode_iq2_s, nullptr},
      Codec{find_type(GgmlType::kIQ3_XXS), decode_blocks<256, 98, decode_iq3_xxs>, encode_iq3_xxs, nullptr},
      Codec{find_type(GgmlType::kIQ3_S), decode_blocks<256, 110, decode_iq3_s>, encode_iq3_s, nullptr},
      Codec{find_type(GgmlType::kIQ4_NL), decode_blocks<32, 18, decode_iq4_nl>, encode_iq4_nl, &kIq4NlCodes},
      Codec{find_type(GgmlType::kIQ4_XS), decode_blocks<256, 136, decode_iq4_xs>, encode_iq4_xs, &kIq4XsCodes},
  };
  return codecs;
}

}  // namespace assay
