// Super-blocks of 256 with quantized sub-block scales: Q2_K .. Q6_K. Layouts: methods.md 4.2.3.
#include <array>

#include "assay/quant/families.h"
#include "assay/quant/half.h"
#include "assay/quant/kquant_encode.h"
#include "assay/quant/kquant_layout.h"

namespace assay {
namespace {

using kquant::get_q3_scale;
using kquant::get_scale_min;

constexpr uint32_t kBlock = 256;

// Places of weight i in the formats that keep 2-bit codes in four runs of 32 per half (Q2_K, Q3_K, TQ2_0 alike).
struct TwoBitPlace {
  uint32_t byte, shift;
};
constexpr TwoBitPlace two_bit_place(uint32_t i) { return {i / 128 * 32 + i % 32, 2 * (i % 128 / 32)}; }

void decode_q2_k(const std::byte* block, float* out) {
  const std::byte *scales = block, *qs = block + 16;
  const float d = load_half(block + 80), dmin = load_half(block + 82);
  for (uint32_t run = 0; run < 8; ++run) {
    const std::byte* bytes = qs + run / 4 * 32;
    const uint32_t shift = 2 * (run % 4);
    for (uint32_t part = 0; part < 2; ++part) {
      const unsigned sc = load_u8(scales + 2 * run + part);
      const float scale = d * static_cast<float>(sc & 15u), minimum = dmin * static_cast<float>(sc >> 4);
      for (uint32_t j = 0; j < 16; ++j) {
        const unsigned q = (load_u8(bytes + 16 * part + j) >> shift) & 3u;
        out[32 * run + 16 * part + j] = scale * static_cast<float>(q) - minimum;
      }
    }
  }
}

void decode_q3_k(const std::byte* block, float* out) {
  const std::byte *hmask = block, *qs = block + 32, *scales = block + 96;
  const float d = load_half(block + 108);
  for (uint32_t run = 0; run < 8; ++run) {
    const std::byte* bytes = qs + run / 4 * 32;
    const uint32_t shift = 2 * (run % 4);
    for (uint32_t part = 0; part < 2; ++part) {
      const float scale = d * static_cast<float>(get_q3_scale(scales, 2 * run + part));
      for (uint32_t j = 0; j < 16; ++j) {
        const uint32_t l = 16 * part + j;
        const int low = static_cast<int>((load_u8(bytes + l) >> shift) & 3u), high = static_cast<int>((load_u8(hmask + l) >> run) & 1u);
        out[32 * run + l] = scale * static_cast<float>(low + 4 * high - 4);
      }
    }
  }
}

template <bool kFifthBit>
void decode_q45_k(const std::byte* block, float* out) {
  const float d = load_half(block), dmin = load_half(block + 2);
  const std::byte *scales = block + 4, *qh = block + 16, *qs = block + (kFifthBit ? 48 : 16);
  for (uint32_t k = 0; k < 8; ++k) {
    const auto [sc, mn] = get_scale_min(scales, k);
    const float scale = d * static_cast<float>(sc), minimum = dmin * static_cast<float>(mn);
    const std::byte* bytes = qs + k / 2 * 32;
    const uint32_t shift = 4 * (k % 2);
    for (uint32_t l = 0; l < 32; ++l) {
      unsigned q = (load_u8(bytes + l) >> shift) & 15u;
      if (kFifthBit) q |= ((load_u8(qh + l) >> k) & 1u) << 4;
      out[32 * k + l] = scale * static_cast<float>(q) - minimum;
    }
  }
}

void decode_q6_k(const std::byte* block, float* out) {
  const std::byte *ql = block, *qh = block + 128, *scales = block + 192;
  const float d = load_half(block + 208);
  for (uint32_t run = 0; run < 8; ++run) {
    const uint32_t half = run / 4, t = run % 4;
    const std::byte *low = ql + 64 * half + 32 * (t & 1u), *high = qh + 32 * half;
    for (uint32_t part = 0; part < 2; ++part) {
      const float scale = d * static_cast<float>(static_cast<int8_t>(scales[8 * half + 2 * t + part]));
      for (uint32_t j = 0; j < 16; ++j) {
        const uint32_t l = 16 * part + j;
        const unsigned nibble = (load_u8(low + l) >> (t < 2 ? 0 : 4)) & 15u, upper = (load_u8(high + l) >> (2 * t)) & 3u;
        out[32 * run + l] = scale * static_cast<float>(static_cast<int>(nibble | upper << 4) - 32);
      }
    }
  }
}

unsigned get_bits(const std::byte* at, uint32_t shift, unsigned mask) { return (load_u8(at) >> shift) & mask; }
void set_bits(std::byte* at, uint32_t shift, unsigned mask, unsigned value) {
  *at = static_cast<std::byte>((load_u8(at) & ~(mask << shift)) | (value & mask) << shift);
}

int get_q2_k(const std::byte* block, uint32_t i) {
  const TwoBitPlace place = two_bit_place(i);
  return static_cast<int>(get_bits(block + 16 + place.byte, place.shift, 3));
}
void set_q2_k(std::byte* block, uint32_t i, int code) {
  const TwoBitPlace place = two_bit_place(i);
  set_bits(block + 16 + place.byte, place.shift, 3, static_cast<unsigned>(code));
}

int get_q3_k(const std::byte* block, uint32_t i) {
  const TwoBitPlace place = two_bit_place(i);
  return static_cast<int>(get_bits(block + 32 + place.byte, place.shift, 3) + 4 * get_bits(block + i % 32, i / 32, 1)) - 4;
}
void set_q3_k(std::byte* block, uint32_t i, int code) {
  const TwoBitPlace place = two_bit_place(i);
  const auto raw = static_cast<unsigned>(code + 4);
  set_bits(block + 32 + place.byte, place.shift, 3, raw);
  set_bits(block + i % 32, i / 32, 1, raw >> 2);
}

template <bool kFifthBit>
int get_q45_k(const std::byte* block, uint32_t i) {
  const unsigned low = get_bits(block + (kFifthBit ? 48 : 16) + i / 64 * 32 + i % 32, 4 * (i / 32 % 2), 15);
  return static_cast<int>(kFifthBit ? low | get_bits(block + 16 + i % 32, i / 32, 1) << 4 : low);
}
template <bool kFifthBit>
void set_q45_k(std::byte* block, uint32_t i, int code) {
  const auto raw = static_cast<unsigned>(code);
  set_bits(block + (kFifthBit ? 48 : 16) + i / 64 * 32 + i % 32, 4 * (i / 32 % 2), 15, raw);
  if (kFifthBit) set_bits(block + 16 + i % 32, i / 32, 1, raw >> 4);
}

int get_q6_k(const std::byte* block, uint32_t i) {
  const uint32_t half = i / 128, t = i % 128 / 32, l = i % 32;
  const unsigned low = get_bits(block + 64 * half + 32 * (t & 1u) + l, t < 2 ? 0 : 4, 15);
  return static_cast<int>(low | get_bits(block + 128 + 32 * half + l, 2 * t, 3) << 4) - 32;
}
void set_q6_k(std::byte* block, uint32_t i, int code) {
  const uint32_t half = i / 128, t = i % 128 / 32, l = i % 32;
  const auto raw = static_cast<unsigned>(code + 32);
  set_bits(block + 64 * half + 32 * (t & 1u) + l, t < 2 ? 0 : 4, 15, raw);
  set_bits(block + 128 + 32 * half + l, 2 * t, 3, raw >> 4);
}

constexpr CodeAccess kQ2Codes = {0, 3, get_q2_k, set_q2_k};
constexpr CodeAccess kQ3Codes = {-4, 3, get_q3_k, set_q3_k};
constexpr CodeAccess kQ4Codes = {0, 15, get_q45_k<false>, set_q45_k<false>};
constexpr CodeAccess kQ5Codes = {0, 31, get_q45_k<true>, set_q45_k<true>};
constexpr CodeAccess kQ6Codes = {-32, 31, get_q6_k, set_q6_k};

}  // namespace

std::span<const Codec> kquant_codecs() {
  static const std::array codecs = {
      Codec{find_type(GgmlType::kQ2_K), decode_blocks<kBlock, 84, decode_q2_k>, encode_q2_k, &kQ2Codes},
      Codec{find_type(GgmlType::kQ3_K), decode_blocks<kBlock, 110, decode_q3_k>, encode_q3_k, &kQ3Codes},
      Codec{find_type(GgmlType::kQ4_K), decode_blocks<kBlock, 144, decode_q45_k<false>>, encode_q4_k, &kQ4Codes},
      Codec{find_type(GgmlType::kQ5_K), decode_blocks<kBlock, 176, decode_q45_k<true>>, encode_q5_k, &kQ5Codes},
      Codec{find_type(GgmlType::kQ6_K), decode_blocks<kBlock, 210, decode_q6_k>, encode_q6_k, &kQ6Codes},
  };
  return codecs;
}

}  // namespace assay
