#include "assay/quant/legacy_encode.h"

#include <algorithm>
#include <cmath>

#include "assay/quant/half.h"
#include "assay/quant/scale_search.h"

namespace assay {
namespace {

constexpr int kBlock = 32;
constexpr float kLargestHalf = 65504.0f;
constexpr float kOnes[kBlock] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

// A scale as it will be read back; kept finite.
ASSAY_INLINE float stored_half(float value, std::byte* at) {
  const uint16_t half = float_to_half(std::clamp(value, -kLargestHalf, kLargestHalf));
  store_u16(at, half);
  return half_to_float(half);
}

// Codes round(((x - offset) / scale) + shift), clamped, as bytes.
ASSAY_INLINE void codes_of(const float* x, float scale, float offset, float shift, float high, uint8_t* codes) {
  const float inverse = scale != 0 ? 1.0f / scale : 0.0f;
  float q[kBlock];
  for (int i = 0; i < kBlock; i += 16)
    lanes::store(q + i, lanes::clamp(lanes::round((lanes::load(x + i) - offset) * inverse) + shift, 0, high));
  for (int i = 0; i < kBlock; ++i) codes[i] = static_cast<uint8_t>(q[i]);
}

// The value of largest magnitude, sign included; the first of equals.
ASSAY_INLINE float largest_with_sign(const float* x) {
  float low = x[0], high = x[0];
  for (int i = 1; i < kBlock; ++i) {
    low = x[i] < low ? x[i] : low;
    high = x[i] > high ? x[i] : high;
  }
  return -low > high ? low : high;
}

ASSAY_INLINE void put_nibbles(const uint8_t* codes, std::byte* qs) {
  for (int j = 0; j < 16; ++j) qs[j] = static_cast<std::byte>((codes[j] & 15) | (codes[j + 16] & 15) << 4);
}

ASSAY_INLINE uint32_t fifth_bits(const uint8_t* codes) {
  uint32_t bits = 0;
  for (int i = 0; i < kBlock; ++i) bits |= static_cast<uint32_t>(codes[i] >> 4) << i;
  return bits;
}

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
  constexpr int kHigh = kFifthBit ? 15 : 7;
  constexpr uint64_t kBytes = kFifthBit ? 22 : 18;
  for (uint64_t b = 0; b < n; b += kBlock, out += kBytes) {
    const float d = largest_with_sign(row + b) / static_cast<float>(-kHigh - 1), inverse = d != 0 ? 1.0f / d : 0.0f;
    store_u16(out, float_to_half(std::clamp(d, -kLargestHalf, kLargestHalf)));
    uint8_t codes[kBlock];
    for (int i = 0; i < kBlock; ++i) {
      const int code = static_cast<int>(row[b + static_cast<uint64_t>(i)] * inverse + (static_cast<float>(kHigh) + 1.5f));
      codes[i] = static_cast<uint8_t>(code > 2 * kHigh + 1 ? 2 * kHigh + 1 : code);
    }
    if (kFifthBit) store_u32(out + 2, fifth_bits(codes));
    put_nibbles(codes, out + (kFifthBit ? 6 : 2));
  }
}

template <bool kFifthBit>
ASSAY_INLINE void encode_affine_plain(const float* row, uint64_t n, std::byte* out) {
  constexpr int kHigh = kFifthBit ? 31 : 15;
  constexpr uint64_t kBytes = kFifthBit ? 24 : 20;
  for (uint64_t b = 0; b < n; b += kBlock, out += kBytes) {
    float low = row[b], high = row[b];
    for (int i = 1; i < kBlock; ++i) {
      const float x = row[b + static_cast<uint64_t>(i)];
      low = x < low ? x : low;
      high = x > high ? x : high;
    }
    const float d = (high * 0.5f - low * 0.5f) / (0.5f * kHigh), inverse = d != 0 ? 1.0f / d : 0.0f;
    store_u16(out, float_to_half(std::clamp(d, -kLargestHalf, kLargestHalf)));
    store_u16(out + 2, float_to_half(std::clamp(low, -kLargestHalf, kLargestHalf)));
    uint8_t codes[kBlock];
    for (int i = 0; i < kBlock; ++i) {
      const int code = static_cast<int>((row[b + static_cast<uint64_t>(i)] - low) * inverse + 0.5f);
      codes[i] = static_cast<uint8_t>(code > kHigh ? kHigh : code);
    }
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
    uint8_t codes[kBlock];
    codes_of(row + b, d, 0, kHigh + 1, 2 * kHigh + 1, codes);
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
    uint8_t codes[kBlock];
    codes_of(row + b, d, m, 0, kHigh, codes);
    if (kFifthBit) store_u32(out + 4, fifth_bits(codes));
    put_nibbles(codes, out + (kFifthBit ? 8 : 4));
  }
}

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
