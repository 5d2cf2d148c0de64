// Ternary, one-bit and plain two-bit formats: TQ1_0, TQ2_0, Q1_0, Q2_0. Layouts: methods.md 4.2.3.
#include <array>

#include "assay/quant/families.h"
#include "assay/quant/half.h"
#include "assay/quant/ternary_encode.h"

namespace assay {
namespace {

// Digit n of a byte that packs base-3 digits as ceil(v * 256 / 243).
float ternary_digit(unsigned byte, uint32_t n) {
  constexpr unsigned kPowers[] = {1, 3, 9, 27, 81};
  return static_cast<float>(static_cast<int>((((byte * kPowers[n]) & 255u) * 3u) >> 8) - 1);
}

void decode_tq1_0(const std::byte* block, float* out) {
  const float d = load_half(block + 52);
  for (uint32_t n = 0; n < 5; ++n) {
    for (uint32_t j = 0; j < 32; ++j) out[32 * n + j] = d * ternary_digit(load_u8(block + j), n);
    for (uint32_t j = 0; j < 16; ++j) out[160 + 16 * n + j] = d * ternary_digit(load_u8(block + 32 + j), n);
  }
  for (uint32_t n = 0; n < 4; ++n)
    for (uint32_t j = 0; j < 4; ++j) out[240 + 4 * n + j] = d * ternary_digit(load_u8(block + 48 + j), n);
}

void decode_tq2_0(const std::byte* block, float* out) {
  const float d = load_half(block + 64);
  for (uint32_t i = 0; i < 256; ++i) {
    const unsigned q = (load_u8(block + i / 128 * 32 + i % 32) >> (2 * (i % 128 / 32))) & 3u;
    out[i] = d * static_cast<float>(static_cast<int>(q) - 1);
  }
}

int get_tq2_0(const std::byte* block, uint32_t i) {
  return static_cast<int>((load_u8(block + i / 128 * 32 + i % 32) >> (2 * (i % 128 / 32))) & 3u) - 1;
}
void set_tq2_0(std::byte* block, uint32_t i, int code) {
  std::byte& byte = block[i / 128 * 32 + i % 32];
  const uint32_t shift = 2 * (i % 128 / 32);
  byte = static_cast<std::byte>((static_cast<unsigned>(byte) & ~(3u << shift)) | static_cast<unsigned>(code + 1) << shift);
}

// TQ1_0: byte and digit that hold weight i.
struct DigitPlace {
  uint32_t byte, digit, digits;
};
DigitPlace tq1_place(uint32_t i) {
  if (i < 160) return {i % 32, i / 32, 5};
  if (i < 240) return {32 + (i - 160) % 16, (i - 160) / 16, 5};
  return {48 + (i - 240) % 4, (i - 240) / 4, 4};
}
int get_tq1_0(const std::byte* block, uint32_t i) {
  const DigitPlace place = tq1_place(i);
  return static_cast<int>(ternary_digit(load_u8(block + place.byte), place.digit));
}
void set_tq1_0(std::byte* block, uint32_t i, int code) {
  const DigitPlace place = tq1_place(i);
  unsigned value = 0;  // the five digits as one number, most significant first; the fifth is 0 where only four are kept
  for (uint32_t n = 0; n < 5; ++n) {
    const int digit = n >= place.digits  ? 0
                      : n == place.digit ? code + 1
                                         : static_cast<int>(ternary_digit(load_u8(block + place.byte), n)) + 1;
    value = 3 * value + static_cast<unsigned>(digit);
  }
  block[place.byte] = static_cast<std::byte>((value * 256 + 242) / 243);
}

void decode_q1_0(const std::byte* block, float* out) {
  const float d = load_half(block);
  for (uint32_t i = 0; i < 128; ++i) out[i] = (load_u8(block + 2 + i / 8) >> (i % 8)) & 1u ? d : -d;
}
int get_q1_0(const std::byte* block, uint32_t i) { return static_cast<int>((load_u8(block + 2 + i / 8) >> (i % 8)) & 1u); }
void set_q1_0(std::byte* block, uint32_t i, int code) {
  std::byte& byte = block[2 + i / 8];
  byte = static_cast<std::byte>((static_cast<unsigned>(byte) & ~(1u << (i % 8))) | static_cast<unsigned>(code) << (i % 8));
}

void decode_q2_0(const std::byte* block, float* out) {
  const float d = load_half(block);
  for (uint32_t i = 0; i < 64; ++i)
    out[i] = d * static_cast<float>(static_cast<int>((load_u8(block + 2 + i / 4) >> (2 * (i % 4))) & 3u) - 1);
}
int get_q2_0(const std::byte* block, uint32_t i) { return static_cast<int>((load_u8(block + 2 + i / 4) >> (2 * (i % 4))) & 3u) - 1; }
void set_q2_0(std::byte* block, uint32_t i, int code) {
  std::byte& byte = block[2 + i / 4];
  byte = static_cast<std::byte>((static_cast<unsigned>(byte) & ~(3u << (2 * (i % 4)))) | static_cast<unsigned>(code + 1) << (2 * (i % 4)));
}

constexpr CodeAccess kTq1Codes = {-1, 1, get_tq1_0, set_tq1_0};
constexpr CodeAccess kTq2Codes = {-1, 1, get_tq2_0, set_tq2_0};
constexpr CodeAccess kQ1Codes = {0, 1, get_q1_0, set_q1_0};
constexpr CodeAccess kQ2Codes = {-1, 2, get_q2_0, set_q2_0};

}  // namespace

std::span<const Codec> ternary_codecs() {
  static const std::array codecs = {
      Codec{find_type(GgmlType::kTQ1_0), decode_blocks<256, 54, decode_tq1_0>, encode_tq1_0, &kTq1Codes},
      Codec{find_type(GgmlType::kTQ2_0), decode_blocks<256, 66, decode_tq2_0>, encode_tq2_0, &kTq2Codes},
      Codec{find_type(GgmlType::kQ1_0), decode_blocks<128, 18, decode_q1_0>, nullptr, &kQ1Codes},
      Codec{find_type(GgmlType::kQ2_0), decode_blocks<64, 18, decode_q2_0>, nullptr, &kQ2Codes},
  };
  return codecs;
}

}  // namespace assay
