#include "assay/quant/legacy_encode.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "assay/quant/folds.h"
#include "assay/quant/half.h"
#include "assay/quant/scale_search.h"

namespace assay {
namespace {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"

using lanes::Float16;
using lanes::Int16;

constexpr int kBlock = 32;
constexpr float kLargestHalf = 65504.0f;
constexpr float kOnes[kBlock] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

// A scale as it will be read back; kept finite.
ASSAY_INLINE float stored_half(float value, std::byte* at) {
  const uint16_t half = float_to_half(std::clamp(value, -kLargestHalf, kLargestHalf));
  store_u16(at, half);
  return half_to_float(half);
}

// Codes of a block: weight i in lane i % 16 of half i / 16.
struct Codes {
  Int16 half[2];
};

// Codes round(((x - offset) / scale) + shift), clamped.
ASSAY_INLINE Codes codes_of(const float* x, float scale, float offset, float shift, float high) {
  const float inverse = scale != 0 ? 1.0f / scale : 0.0f;
  Codes codes;
  for (int i = 0; i < 2; ++i)
    codes.half[i] = folds::whole(lanes::clamp(lanes::round((lanes::load(x + 16 * i) - offset) * inverse) + shift, 0, high));
  return codes;
}

// Codes (x - offset) * inverse + shift, the fraction dropped, clamped.
ASSAY_INLINE Codes truncated_codes(const float* x, float inverse, float offset, float shift, float high) {
  Codes codes;
  for (int i = 0; i < 2; ++i) codes.half[i] = folds::whole(lanes::clamp((lanes::load(x + 16 * i) - offset) * inverse + shift, 0, high));
  return codes;
}

struct Range {
  float least, most;
};

ASSAY_INLINE Range range_of(const float* x) {
  const Float16 first = lanes::load(x), second = lanes::load(x + 16);
  return {folds::least(lanes::minimum(first, second)), folds::most(lanes::maximum(first, second))};
}

// Bit i is set where weight i's mask is.
ASSAY_INLINE uint32_t bits_of(Int16 first, Int16 second) {
  constexpr Int16 kBit = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768};
  return static_cast<uint32_t>(folds::all_bits((first & kBit) | (second & kBit) << 16));
}

// The value of largest magnitude, sign included; the first of equals, as in ggml.
ASSAY_INLINE float largest_with_sign(const float* x) {
  const Float16 first = lanes::load(x), second = lanes::load(x + 16);
  const Float16 first_size = lanes::maximum(first, -first), second_size = lanes::maximum(second, -second);
  const float most = folds::most(lanes::maximum(first_size, second_size));
  return x[std::countr_zero(bits_of(first_size == most, second_size == most))];
}

// Bits 0-3: weights j and j + 16 share byte j.
ASSAY_INLINE void put_nibbles(const Codes& codes, std::byte* qs) { folds::store_bytes((codes.half[0] & 15) | (codes.half[1] & 15) << 4, qs); }

// Bit 4 of weight i is bit i.
ASSAY_INLINE uint32_t fifth_bits(const Codes& codes) { return bits_of(codes.half[0] > 15, codes.half[1] > 15); }

// Importance of a block, or ones; all-zero importance counts as ones (the columns were never active).
ASSAY_INLINE const float* weights_of(const float* importance, uint64_t column) {
  if (importance == nullptr) return kOnes;
  for (int i = 0; i < kBlock; ++i)
    if (importance[column + static_cast<uint64_t>(i)] > 0) return importance + column;
  return kOnes;
}

// Without importance: ggml's own rule, one pass. The extreme goes to the end that reaches further; codes use the unrounded scale.
template <bool kFifthBit>
ASSAY_INLINE void encode_symmetric_plain(const float* row, uint64_t n, std::byte* out) {
  constexpr float kHigh = kFifthBit ? 15 : 7;
  constexpr uint64_t kBytes = kFifthBit ? 22 : 18;
  for (uint64_t b = 0; b < n; b += kBlock, out += kBytes) {
    const float d = largest_with_sign(row + b) / (-kHigh - 1), inverse = d != 0 ? 1.0f / d : 0.0f;
    store_u16(out, float_to_half(std::clamp(d, -kLargestHalf, kLargestHalf)));
    const Codes codes = truncated_codes(row + b, inverse, 0, kHigh + 1.5f, 2 * kHigh + 1);
    if (kFifthBit) store_u32(out + 2, fifth_bits(codes));
    put_nibbles(codes, out + (kFifthBit ? 6 : 2));
  }
}

template <bool kFifthBit>
ASSAY_INLINE void encode_affine_plain(const float* row, uint64_t n, std::byte* out) {
  constexpr float kHigh = kFifthBit ? 31 : 15;
  constexpr uint64_t kBytes = kFifthBit ? 24 : 20;
  for (uint64_t b = 0; b < n; b += kBlock, out += kBytes) {
    const auto [low, high] = range_of(row + b);
    const float d = (high * 0.5f - low * 0.5f) / (0.5f * kHigh), inverse = d != 0 ? 1.0f / d : 0.0f;
    store_u16(out, float_to_half(std::clamp(d, -kLargestHalf, kLargestHalf)));
    store_u16(out + 2, float_to_half(std::clamp(low, -kLargestHalf, kLargestHalf)));
    const Codes codes = truncated_codes(row + b, inverse, low, 0.5f, kHigh);
    if (kFifthBit) store_u32(out + 4, fifth_bits(codes));
    put_nibbles(codes, out + (kFifthBit ? 8 : 4));
  }
}

template <bool kFifthBit>
ASSAY_INLINE void encode_symmetric(const float* row, const float* importance, uint64_t n, std::byte* out) {
  constexpr int kHigh = kFifthBit ? 15 : 7;
  constexpr uint64_t kBytes = kFifthBit ? 22 : 18;
  for (uint64_t b = 0; b < n; b += kBlock, out += kBytes) {
    const auto fit = search::fit_symmetric<kBlock, 8>(row + b, weights_of(importance, b), -kHigh - 1, kHigh);
    const float d = stored_half(fit.scale, out);
    const Codes codes = codes_of(row + b, d, 0, kHigh + 1, 2 * kHigh + 1);
    if (kFifthBit) store_u32(out + 2, fifth_bits(codes));
    put_nibbles(codes, out + (kFifthBit ? 6 : 2));
  }
}

template <bool kFifthBit>
ASSAY_INLINE void encode_affine(const float* row, const float* importance, uint64_t n, std::byte* out) {
  constexpr float kHigh = kFifthBit ? 31 : 15;
  constexpr uint64_t kBytes = kFifthBit ? 24 : 20;
  for (uint64_t b = 0; b < n; b += kBlock, out += kBytes) {
    const auto fit = search::fit_affine<kBlock, 14, true>(row + b, weights_of(importance, b), kHigh, -0.7f, 0.1f);
    const float d = stored_half(fit.scale, out), m = stored_half(-fit.minimum, out + 2);
    const Codes codes = codes_of(row + b, d, m, 0, kHigh);
    if (kFifthBit) store_u32(out + 4, fifth_bits(codes));
    put_nibbles(codes, out + (kFifthBit ? 8 : 4));
  }
}

#pragma GCC diagnostic pop

}  // namespace

ASSAY_CLONES void encode_q4_0(const float* row, const float* importance, uint64_t n, std::byte* out) {
  importance ? encode_symmetric<false>(row, importance, n, out) : encode_symmetric_plain<false>(row, n, out);
}
ASSAY_CLONES void encode_q5_0(const float* row, const float* importance, uint64_t n, std::byte* out) {
  importance ? encode_symmetric<true>(row, importance, n, out) : encode_symmetric_plain<true>(row, n, out);
}
ASSAY_CLONES void encode_q4_1(const float* row, const float* importance, uint64_t n, std::byte* out) {
  importance ? encode_affine<false>(row, importance, n, out) : encode_affine_plain<false>(row, n, out);
}
ASSAY_CLONES void encode_q5_1(const float* row, const float* importance, uint64_t n, std::byte* out) {
  importance ? encode_affine<true>(row, importance, n, out) : encode_affine_plain<true>(row, n, out);
}

// 8 bits leave nothing to search for: ggml's rule, with or without importance.
ASSAY_CLONES void encode_q8_0(const float* row, const float*, uint64_t n, std::byte* out) {
  constexpr uint64_t kBytes = 34;
  for (uint64_t b = 0; b < n; b += kBlock, out += kBytes) {
    const float d = std::fabs(largest_with_sign(row + b)) / 127.0f, inverse = d != 0 ? 1.0f / d : 0.0f;
    store_u16(out, float_to_half(std::min(d, kLargestHalf)));
    for (int i = 0; i < kBlock; ++i) {  // half away from zero
      const float scaled = row[b + static_cast<uint64_t>(i)] * inverse;
      out[2 + i] = static_cast<std::byte>(static_cast<int8_t>(static_cast<int>(scaled + (scaled < 0 ? -0.5f : 0.5f))));
    }
  }
}

}  // namespace assay
