// Four-bit floating point with block scales: MXFP4 (E8M0 scale per 32), NVFP4 (UE4M3 scale per 16). Layouts: methods.md 4.2.3.
#include <array>

#include "assay/quant/families.h"
#include "assay/quant/fp4_encode.h"
#include "assay/quant/fp4_scales.h"
#include "assay/quant/half.h"

namespace assay {
namespace {

// E2M1 values, doubled: the scales carry the factor 1/2.
constexpr float kE2M1[16] = {0, 1, 2, 3, 4, 6, 8, 12, -0.0f, -1, -2, -3, -4, -6, -8, -12};

void decode_mxfp4(const std::byte* block, float* out) {
  const float scale = e8m0_half(load_u8(block));
  for (uint32_t j = 0; j < 16; ++j) {
    out[j] = scale * kE2M1[load_u8(block + 1 + j) & 15u];
    out[j + 16] = scale * kE2M1[load_u8(block + 1 + j) >> 4];
  }
}

void decode_nvfp4(const std::byte* block, float* out) {
  for (uint32_t s = 0; s < 4; ++s) {
    const float scale = ue4m3_half(load_u8(block + s));
    for (uint32_t j = 0; j < 8; ++j) {
      const unsigned byte = load_u8(block + 4 + 8 * s + j);
      out[16 * s + j] = scale * kE2M1[byte & 15u];
      out[16 * s + j + 8] = scale * kE2M1[byte >> 4];
    }
  }
}

// Codes in the order of their values: -7 .. 7; -0 and +0 are both 0.
int code_of(unsigned nibble) { return nibble < 8 ? static_cast<int>(nibble) : -static_cast<int>(nibble - 8); }
unsigned nibble_of(int code) { return code >= 0 ? static_cast<unsigned>(code) : static_cast<unsigned>(8 - code); }

struct NibblePlace {
  uint32_t byte;
  bool high;
};
NibblePlace mxfp4_place(uint32_t i) { return {1 + i % 16, i >= 16}; }
NibblePlace nvfp4_place(uint32_t i) { return {4 + i / 16 * 8 + i % 8, i % 16 >= 8}; }

template <NibblePlace (*kPlace)(uint32_t)>
int get_fp4(const std::byte* block, uint32_t i) {
  const NibblePlace place = kPlace(i);
  const unsigned byte = load_u8(block + place.byte);
  return code_of(place.high ? byte >> 4 : byte & 15u);
}
template <NibblePlace (*kPlace)(uint32_t)>
void set_fp4(std::byte* block, uint32_t i, int code) {
  const NibblePlace place = kPlace(i);
  const unsigned old = load_u8(block + place.byte);
  block[place.byte] = static_cast<std::byte>(place.high ? (old & 15u) | nibble_of(code) << 4 : (old & 0xF0u) | nibble_of(code));
}

constexpr CodeAccess kMxfp4Codes = {-7, 7, get_fp4<mxfp4_place>, set_fp4<mxfp4_place>};
constexpr CodeAccess kNvfp4Codes = {-7, 7, get_fp4<nvfp4_place>, set_fp4<nvfp4_place>};

}  // namespace

std::span<const Codec> fp4_codecs() {
  static const std::array codecs = {
      Codec{find_type(GgmlType::kMXFP4), decode_blocks<32, 17, decode_mxfp4>, encode_mxfp4, &kMxfp4Codes},
      Codec{find_type(GgmlType::kNVFP4), decode_blocks<64, 36, decode_nvfp4>, encode_nvfp4, &kNvfp4Codes},
  };
  return codecs;
}

}  // namespace assay
