#include "assay/quant/fp4_encode.h"

#include <algorithm>
#include <bit>

#include "assay/quant/encoder.h"
#include "assay/quant/folds.h"
#include "assay/quant/half.h"
#include "assay/quant/scale_search.h"

// Both formats: the stored scales near the one that puts the largest weight of a run at the end of the levels are all tried, with the
// nearest level of every weight; the best is kept. Sixteen runs side by side, one per lane. Levels are E2M1 values doubled: 0 1 2 3 4 6
// 8 12.
namespace assay {
namespace {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"

using lanes::Float16;
using lanes::Int16;
using search::kRuns;
using search::Runs;

// The level next to y >= 0: a whole number below 2, else a number with one bit behind the leading one (ties upward).
ASSAY_INLINE Float16 nearest(Float16 y) {
  y = lanes::minimum(y, lanes::splat(12));
  const Float16 coarse = (Float16)(((Int16)y + 0x00200000) & static_cast<int32_t>(0xFFC00000u));
  return y < 2.0f ? lanes::round(y) : coarse;
}

// Codes of sixteen weights: the place among the levels, and 8 for a negative one.
ASSAY_INLINE Int16 codes_of(const float* x, float inverse) {
  const Float16 value = lanes::load(x), level = nearest(search::magnitude(value) * inverse);
  Float16 code = level < 5.0f ? level : 2.0f + 0.5f * level;
  code = level < 9.0f ? code : lanes::splat(7);
  const Float16 sign = value < 0 ? lanes::splat(8) : Float16{};
  return folds::whole(code + sign * lanes::minimum(level, lanes::splat(1)));
}

template <int kRun>
ASSAY_INLINE Float16 error_of(const Runs<kRun>& runs, Float16 scale, Float16 inverse) {
  Float16 total{};
  for (int i = 0; i < kRun; ++i) {
    const Float16 e = runs.x[i] - scale * nearest(runs.x[i] * inverse);
    total += runs.w[i] * e * e;
  }
  return total;
}

// Loads runs, takes their signs off, and returns the largest weight of each.
template <int kRun>
ASSAY_INLINE Float16 load_magnitudes(const float* row, const float* importance, int count, Runs<kRun>& runs) {
  search::load_runs(row, importance, count, runs);
  Float16 extreme{};
  for (Float16& x : runs.x) {
    x = search::magnitude(x);
    extreme = lanes::maximum(extreme, x);
  }
  return extreme;
}

ASSAY_INLINE const float* column(const float* importance, uint64_t at) { return importance == nullptr ? nullptr : importance + at; }

// Scale 2^(code - 128); codes are those of normal numbers whose inverse is one too.
ASSAY_INLINE void mxfp4(const float* row, const float* importance, uint64_t n, std::byte* out) {
  constexpr int kRun = 32;
  for (uint64_t b = 0; b < n; b += kRun * kRuns) {
    const int count = static_cast<int>(std::min<uint64_t>(kRuns, (n - b) / kRun));
    Runs<kRun> runs;
    const Float16 extreme = load_magnitudes(row + b, column(importance, b), count, runs);
    const Int16 middle = ((Int16)extreme >> 23) - 2;  // the largest weight between the levels 8 and 16
    Float16 best{}, least = lanes::splat(INFINITY);
    for (int offset = -2; offset <= 1; ++offset) {
      const Int16 code = middle + offset;
      const Float16 error = error_of(runs, (Float16)((code - 1) << 23), (Float16)((255 - code) << 23));
      best = error < least ? __builtin_convertvector(code, Float16) : best;
      least = lanes::minimum(least, error);
    }
    best = extreme > search::kSmallestRange ? best : Float16{};
    float codes[kRuns];
    lanes::store(codes, best);
    for (int k = 0; k < count; ++k, out += 17) {
      const unsigned code = static_cast<unsigned>(codes[k]);
      const float* x = row + b + kRun * k;
      const float inverse = code == 0 ? 0.0f : std::bit_cast<float>((255 - code) << 23);
      out[0] = static_cast<std::byte>(code);
      folds::store_bytes(codes_of(x, inverse) | codes_of(x + 16, inverse) << 4, out + 1);
    }
  }
}

constexpr int kLargestUe4m3 = 126;

// Half of an unsigned E4M3 number, lane by lane: decode's ue4m3_half.
ASSAY_INLINE Float16 half_of_code(Int16 code) {
  const Float16 normal = (Float16)((code << 20) + (119 << 23)), subnormal = __builtin_convertvector(code, Float16) * 0x1.0p-10f;
  return code > 7 ? normal : subnormal;
}
// The code next to twice `half`.
ASSAY_INLINE Int16 code_near(Float16 half) {
  const Int16 normal = (((Int16)half + (1 << 19)) >> 20) - (119 << 3), subnormal = folds::whole(lanes::round(half * 0x1.0p10f));
  const Int16 code = half < 0x1.0p-7f ? subnormal : normal;
  return code > kLargestUe4m3 ? Int16{} + kLargestUe4m3 : code;
}

ASSAY_INLINE void nvfp4(const float* row, const float* importance, uint64_t n, std::byte* out) {
  constexpr int kRun = 16, kDown = 4, kUp = 3;  // codes tried on either side: about an octave together
  for (uint64_t b = 0; b < n; b += kRun * kRuns) {
    const int count = static_cast<int>(std::min<uint64_t>(kRuns, (n - b) / kRun));
    Runs<kRun> runs;
    const Float16 extreme = load_magnitudes(row + b, column(importance, b), count, runs);
    const Int16 middle = code_near(extreme / 12.0f);
    Float16 best{}, least = lanes::splat(INFINITY);
    for (int offset = -kDown; offset <= kUp; ++offset) {
      Int16 code = middle + offset;
      code = code < 0 ? Int16{} : code;
      code = code > kLargestUe4m3 ? Int16{} + kLargestUe4m3 : code;
      const Float16 scale = half_of_code(code), error = error_of(runs, scale, search::inverse_of(scale));
      best = error < least ? __builtin_convertvector(code, Float16) : best;
      least = lanes::minimum(least, error);
    }
    float codes[kRuns], scales[kRuns];
    lanes::store(codes, best);
    lanes::store(scales, half_of_code(folds::whole(best)));
    for (int k = 0; k < count; ++k) {
      std::byte* block = out + k / 4 * 36;
      uint8_t nibbles[kRun];
      folds::store_bytes(codes_of(row + b + kRun * k, scales[k] > 0 ? 1.0f / scales[k] : 0.0f), nibbles);
      block[k % 4] = static_cast<std::byte>(static_cast<unsigned>(codes[k]));
      for (int j = 0; j < 8; ++j) block[4 + 8 * (k % 4) + j] = static_cast<std::byte>(nibbles[j] | nibbles[j + 8] << 4);
    }
    out += count / 4 * 36;
  }
}

#pragma GCC diagnostic pop

}  // namespace

ASSAY_ENCODER(encode_mxfp4, mxfp4)
ASSAY_ENCODER(encode_nvfp4, nvfp4)

}  // namespace assay
