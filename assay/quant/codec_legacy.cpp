// Blocks of 32 with one scale (and one minimum): Q4_0, Q4_1, Q5_0, Q5_1, Q8_0. Layouts: methods.md 4.2.3.
#include <array>

#include "assay/quant/families.h"
#include "assay/quant/half.h"
#include "assay/quant/legacy_encode.h"

namespace assay {
namespace {

constexpr uint32_t kBlock = 32;

// Low nibbles are elements 0-15, high nibbles 16-31.
template <bool kMinimum, bool kFifthBit>
void decode_block(const std::byte* block, float* out) {
  const float d = load_half(block);
  const float m = kMinimum ? load_half(block + 2) : 0.0f;
  const std::byte* at = block + (kMinimum ? 4 : 2);
  const uint32_t high = kFifthBit ? load_u32(at) : 0;
  const std::byte* qs = at + (kFifthBit ? 4 : 0);
  constexpr int kOffset = kMinimum ? 0 : (kFifthBit ? 16 : 8);
  for (uint32_t j = 0; j < 16; ++j) {
    const unsigned byte = load_u8(qs + j);
    const int low = static_cast<int>((byte & 15u) | ((high >> j) & 1u) << 4) - kOffset;
    const int upper = static_cast<int>((byte >> 4) | ((high >> (j + 16)) & 1u) << 4) - kOffset;
    out[j] = d * static_cast<float>(low) + m;
    out[j + 16] = d * static_cast<float>(upper) + m;
  }
}

void decode_q8_0(const std::byte* block, float* out) {
  const float d = load_half(block);
  for (uint32_t j = 0; j < kBlock; ++j) out[j] = d * static_cast<float>(static_cast<int8_t>(block[2 + j]));
}

// Code access. kHigh: offset of the fifth bits (0: none), kLow: offset of the nibbles.
template <uint32_t kHigh, uint32_t kLow, int kOffset>
int get_nibble(const std::byte* block, uint32_t i) {
  const unsigned byte = load_u8(block + kLow + i % 16);
  int code = static_cast<int>(i < 16 ? byte & 15u : byte >> 4);
  if (kHigh) code |= static_cast<int>((load_u32(block + kHigh) >> i) & 1u) << 4;
  return code - kOffset;
}

template <uint32_t kHigh, uint32_t kLow, int kOffset>
void set_nibble(std::byte* block, uint32_t i, int code) {
  const auto raw = static_cast<unsigned>(code + kOffset);
  std::byte& byte = block[kLow + i % 16];
  const unsigned old = static_cast<unsigned>(byte);
  byte = static_cast<std::byte>(i < 16 ? (old & 0xF0u) | (raw & 15u) : (old & 15u) | (raw & 15u) << 4);
  if (kHigh) store_u32(block + kHigh, (load_u32(block + kHigh) & ~(1u << i)) | ((raw >> 4) & 1u) << i);
}

int get_q8_0(const std::byte* block, uint32_t i) { return static_cast<int8_t>(block[2 + i]); }
void set_q8_0(std::byte* block, uint32_t i, int code) { block[2 + i] = static_cast<std::byte>(static_cast<int8_t>(code)); }

constexpr CodeAccess kQ4_0Codes = {-8, 7, get_nibble<0, 2, 8>, set_nibble<0, 2, 8>};
constexpr CodeAccess kQ4_1Codes = {0, 15, get_nibble<0, 4, 0>, set_nibble<0, 4, 0>};
constexpr CodeAccess kQ5_0Codes = {-16, 15, get_nibble<2, 6, 16>, set_nibble<2, 6, 16>};
constexpr CodeAccess kQ5_1Codes = {0, 31, get_nibble<4, 8, 0>, set_nibble<4, 8, 0>};
constexpr CodeAccess kQ8_0Codes = {-128, 127, get_q8_0, set_q8_0};

}  // namespace

std::span<const Codec> legacy_codecs() {
  static const std::array codecs = {
      Codec{find_type(GgmlType::kQ4_0), decode_blocks<kBlock, 18, decode_block<false, false>>, encode_q4_0, &kQ4_0Codes},
      Codec{find_type(GgmlType::kQ4_1), decode_blocks<kBlock, 20, decode_block<true, false>>, encode_q4_1, &kQ4_1Codes},
      Codec{find_type(GgmlType::kQ5_0), decode_blocks<kBlock, 22, decode_block<false, true>>, encode_q5_0, &kQ5_0Codes},
      Codec{find_type(GgmlType::kQ5_1), decode_blocks<kBlock, 24, decode_block<true, true>>, encode_q5_1, &kQ5_1Codes},
      Codec{find_type(GgmlType::kQ8_0), decode_blocks<kBlock, 34, decode_q8_0>, encode_q8_0, &kQ8_0Codes},
  };
  return codecs;
}

}  // namespace assay
