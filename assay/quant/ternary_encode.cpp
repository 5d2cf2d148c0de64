#include "assay/quant/ternary_encode.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "assay/quant/encoder.h"
#include "assay/quant/folds.h"
#include "assay/quant/half.h"
#include "assay/quant/scale_search.h"

// x = d q, q in -1, 0, 1. With the weights above a threshold at +-d, the best d is their mean magnitude m, and the error falls by
// m * (sum w |x|); thresholds are scanned, then moved to half of their d while that gains (Lloyd steps). A block is sixteen vectors.
namespace assay {
namespace {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"

using lanes::Float16;
using lanes::Int16;

constexpr int kBlock = 256, kVectors = kBlock / 16;
constexpr float kThresholds[] = {0.45f, 0.75f, 1.05f, 1.5f, 2.4f};  // of the mean magnitude
constexpr int kScanned = static_cast<int>(std::size(kThresholds)) + 1;
constexpr int kSteps = 3;

struct Block {
  Float16 x[kVectors], w[kVectors];  // magnitudes, importance
};

struct Fit {
  float d = 0, gain = 0;
};

// The best d for each of kCount thresholds.
template <int kCount>
ASSAY_INLINE void fit_above(const Block& block, const float (&threshold)[kCount], Fit (&fits)[kCount]) {
  Float16 sum_wx[kCount] = {}, sum_w[kCount] = {};
  for (int i = 0; i < kVectors; ++i) {
    const Float16 wx = block.w[i] * block.x[i];
    for (int k = 0; k < kCount; ++k) {
      sum_wx[k] += block.x[i] > threshold[k] ? wx : Float16{};
      sum_w[k] += block.x[i] > threshold[k] ? block.w[i] : Float16{};
    }
  }
  for (int k = 0; k < kCount; ++k) {
    const float wx = folds::sum(sum_wx[k]), w = folds::sum(sum_w[k]);
    fits[k] = w > 0 ? Fit{wx / w, wx / w * wx} : Fit{};
  }
}

ASSAY_INLINE float error_of(const Block& block, float d) {
  Float16 total{};
  for (int i = 0; i < kVectors; ++i) {
    const Float16 e = block.x[i] - (block.x[i] > 0.5f * d ? lanes::splat(d) : Float16{});
    total += block.w[i] * e * e;
  }
  return folds::sum(total);
}

// d as stored: fitted, or where that is better the largest magnitude.
ASSAY_INLINE float fit_d(const float* row, const float* importance) {
  Block block;
  Float16 total_w{}, total_wx{}, largest{};
  for (int i = 0; i < kVectors; ++i) {
    block.x[i] = search::magnitude(lanes::load(row + 16 * i));
    block.w[i] = importance == nullptr ? lanes::splat(1) : lanes::load(importance + 16 * i);
    total_w += block.w[i];
    largest = lanes::maximum(largest, block.x[i]);
  }
  float weight = folds::sum(total_w);
  if (!(weight > 0)) {  // columns that were never active
    weight = kBlock;
    for (Float16& w : block.w) w = lanes::splat(1);
  }
  for (int i = 0; i < kVectors; ++i) total_wx += block.w[i] * block.x[i];
  const float most = folds::most(largest), mean = folds::sum(total_wx) / weight;
  if (!(most > search::kSmallestRange)) return 0;
  float threshold[kScanned];
  for (int k = 0; k + 1 < kScanned; ++k) threshold[k] = kThresholds[k] * mean;
  threshold[kScanned - 1] = 0.5f * most;
  Fit fits[kScanned], best;
  fit_above(block, threshold, fits);
  for (const Fit& fit : fits)
    if (fit.gain > best.gain) best = fit;
  for (int step = 0; step < kSteps; ++step) {
    const float half[1] = {0.5f * best.d};
    Fit next[1];
    fit_above(block, half, next);
    if (!(next[0].gain > best.gain)) break;
    best = next[0];
  }
  const float fitted = search::stored_unit(best.d), plain = search::as_half(most);
  return error_of(block, plain) < error_of(block, fitted) ? plain : fitted;
}

// The codes plus one.
ASSAY_INLINE void codes_of(const float* row, float d, uint8_t* codes) {
  const float half = d > 0 ? 0.5f * d : INFINITY;
  for (int i = 0; i < kBlock; i += 16) {
    const Float16 x = lanes::load(row + i);
    const Float16 up = x > half ? lanes::splat(2) : lanes::splat(1);
    folds::store_bytes(folds::whole(x < -half ? Float16{} : up), codes + i);
  }
}

// Five digits of base 3, the most significant first, as their number v becomes a byte: ceil(v * 256 / 243), by a reciprocal that is exact
// here.
constexpr uint32_t pack_digits(uint32_t v) { return ((v * 256 + 242) * 69043u) >> 24; }
constexpr bool packs_as_divided() {
  for (uint32_t v = 0; v < 243; ++v)
    if (pack_digits(v) != (v * 256 + 242) / 243) return false;
  return true;
}
static_assert(packs_as_divided());

// kBytes bytes; digit n of byte j is code kBytes n + j, a fifth that is not there is 0.
template <int kBytes, int kDigits>
ASSAY_INLINE void put_digits(const uint8_t* codes, std::byte* out) {
  for (int j = 0; j < kBytes; ++j) {
    uint32_t v = 0;
    for (int n = 0; n < 5; ++n) v = 3 * v + (n < kDigits ? codes[kBytes * n + j] : 0u);
    out[j] = static_cast<std::byte>(pack_digits(v));
  }
}

ASSAY_INLINE void tq1_0(const float* row, const float* importance, uint64_t n, std::byte* out) {
  for (uint64_t b = 0; b < n; b += kBlock, out += 54) {
    const float d = fit_d(row + b, importance == nullptr ? nullptr : importance + b);
    uint8_t codes[kBlock];
    codes_of(row + b, d, codes);
    put_digits<32, 5>(codes, out);
    put_digits<16, 5>(codes + 160, out + 32);
    put_digits<4, 4>(codes + 240, out + 48);
    store_u16(out + 52, float_to_half(d));
  }
}

ASSAY_INLINE void tq2_0(const float* row, const float* importance, uint64_t n, std::byte* out) {
  for (uint64_t b = 0; b < n; b += kBlock, out += 66) {
    const float d = fit_d(row + b, importance == nullptr ? nullptr : importance + b);
    uint8_t codes[kBlock];
    codes_of(row + b, d, codes);
    for (int half = 0; half < 2; ++half)
      for (int l = 0; l < 32; ++l) {
        const uint8_t* q = codes + 128 * half + l;
        out[32 * half + l] = static_cast<std::byte>(q[0] | q[32] << 2 | q[64] << 4 | q[96] << 6);
      }
    store_u16(out + 64, float_to_half(d));
  }
}

#pragma GCC diagnostic pop

}  // namespace

ASSAY_ENCODER(encode_tq1_0, tq1_0)
ASSAY_ENCODER(encode_tq2_0, tq2_0)

}  // namespace assay
