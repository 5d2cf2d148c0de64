#include "assay/quant/legacy_encode.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "assay/quant/encoder.h"
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

// A scale as it will be read back; kept finite.
ASSAY_INLINE float stored_half(float value, std::byte* at) {
  const float half = search::as_half(value);
  store_u16(at, float_to_half(half));
  return half;
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
ASSAY_INLINE void put_nibbles(const Codes& codes, std::byte* qs) {
  folds::store_bytes((codes.half[0] & 15) | (codes.half[1] & 15) << 4, qs);
}

// Bit 4 of weight i is bit i.
ASSAY_INLINE uint32_t fifth_bits(const Codes& codes) { return bits_of(codes.half[0] > 15, codes.half[1] > 15); }

// Without importance: ggml's scales, one pass: the extreme goes to the end that reaches further. Codes are the nearest under the stored
// scale (ggml takes the scale before it is stored), so no block has a larger error.
template <bool kFifthBit>
ASSAY_INLINE void encode_symmetric_plain(const float* row, uint64_t n, std::byte* out) {
  constexpr float kHigh = kFifthBit ? 15 : 7;
  constexpr uint64_t kBytes = kFifthBit ? 22 : 18;
  for (uint64_t b = 0; b < n; b += kBlock, out += kBytes) {
    const float d = stored_half(largest_with_sign(row + b) / (-kHigh - 1), out);
    const Codes codes = codes_of(row + b, d, 0, kHigh + 1, 2 * kHigh + 1);
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
    const float d = stored_half((high * 0.5f - low * 0.5f) / (0.5f * kHigh), out), m = stored_half(low, out + 2);
    const Codes codes = codes_of(row + b, d, m, 0, kHigh);
    if (kFifthBit) store_u32(out + 4, fifth_bits(codes));
    put_nibbles(codes, out + (kFifthBit ? 8 : 4));
  }
}

// The fits of sixteen blocks at once: body(block's first weight, scale, minimum) for every block of the row.
template <class Fit, class Body>
ASSAY_INLINE void for_fitted_blocks(const float* row, const float* importance, uint64_t n, const Fit& fit, const Body& body) {
  for (uint64_t b = 0; b < n; b += kBlock * search::kRuns) {
    const int count = static_cast<int>(std::min<uint64_t>(search::kRuns, (n - b) / kBlock));
    search::Runs<kBlock> runs;
    search::load_runs(row + b, importance + b, count, runs);
    const search::Affine fits = fit(runs);
    float scale[search::kRuns], minimum[search::kRuns];
    lanes::store(scale, fits.scale);
    lanes::store(minimum, fits.minimum);
    for (int k = 0; k < count; ++k) body(row + b + kBlock * k, scale[k], minimum[k]);
  }
}

template <bool kFifthBit>
ASSAY_INLINE void encode_symmetric(const float* row, const float* importance, uint64_t n, std::byte* out) {
  constexpr int kHigh = kFifthBit ? 15 : 7;
  const auto fit = [](const search::Runs<kBlock>& runs) __attribute__((always_inline)) {
    const Float16 fits = search::fit_symmetric<kBlock, 8>(runs, -kHigh - 1, kHigh);
    return search::Affine{search::store_scale(runs, fits, search::Integers{-kHigh - 1, kHigh}, -kHigh - 1), Float16{}};
  };
  for_fitted_blocks(row, importance, n, fit, [&](const float* x, float scale, float) __attribute__((always_inline)) {
    const float d = stored_half(scale, out);
    const Codes codes = codes_of(x, d, 0, kHigh + 1, 2 * kHigh + 1);
    if (kFifthBit) store_u32(out + 2, fifth_bits(codes));
    put_nibbles(codes, out + (kFifthBit ? 6 : 2));
    out += kFifthBit ? 22 : 18;
  });
}

template <bool kFifthBit>
ASSAY_INLINE void encode_affine(const float* row, const float* importance, uint64_t n, std::byte* out) {
  constexpr float kHigh = kFifthBit ? 31 : 15;
  const auto fit = [](const search::Runs<kBlock>& runs) __attribute__((always_inline)) {
    return search::store_affine(runs, search::fit_affine<kBlock, 14, true>(runs, kHigh, -0.7f, 0.1f), kHigh);
  };
  for_fitted_blocks(row, importance, n, fit, [&](const float* x, float scale, float minimum) __attribute__((always_inline)) {
    const float d = stored_half(scale, out), m = stored_half(-minimum, out + 2);
    const Codes codes = codes_of(x, d, m, 0, kHigh);
    if (kFifthBit) store_u32(out + 4, fifth_bits(codes));
    put_nibbles(codes, out + (kFifthBit ? 8 : 4));
    out += kFifthBit ? 24 : 20;
  });
}

template <bool kFifthBit>
ASSAY_INLINE void symmetric_row(const float* row, const float* importance, uint64_t n, std::byte* out) {
  importance ? encode_symmetric<kFifthBit>(row, importance, n, out) : encode_symmetric_plain<kFifthBit>(row, n, out);
}
template <bool kFifthBit>
ASSAY_INLINE void affine_row(const float* row, const float* importance, uint64_t n, std::byte* out) {
  importance ? encode_affine<kFifthBit>(row, importance, n, out) : encode_affine_plain<kFifthBit>(row, n, out);
}

// 8 bits leave nothing to search for: ggml's scale and the nearest codes under it as stored, with or without importance.
ASSAY_INLINE void q8_0_row(const float* row, const float*, uint64_t n, std::byte* out) {
  constexpr uint64_t kBytes = 34;
  for (uint64_t b = 0; b < n; b += kBlock, out += kBytes) {
    const Codes codes = codes_of(row + b, stored_half(std::fabs(largest_with_sign(row + b)) / 127.0f, out), 0, 127, 254);
    for (int i = 0; i < 2; ++i) folds::store_bytes(codes.half[i] - 127, out + 2 + 16 * i);
  }
}

#pragma GCC diagnostic pop

}  // namespace

ASSAY_ENCODER(encode_q4_0, symmetric_row<false>)
ASSAY_ENCODER(encode_q5_0, symmetric_row<true>)
ASSAY_ENCODER(encode_q4_1, affine_row<false>)
ASSAY_ENCODER(encode_q5_1, affine_row<true>)
ASSAY_ENCODER(encode_q8_0, q8_0_row)

}  // namespace assay
