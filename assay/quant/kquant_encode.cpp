#include "assay/quant/kquant_encode.h"

#include <algorithm>

#include "assay/quant/encoder.h"
#include "assay/quant/folds.h"
#include "assay/quant/half.h"
#include "assay/quant/kquant_layout.h"
#include "assay/quant/scale_search.h"

// Each format is encoded in three steps that stay apart, so that a better choice of codes can replace the second:
//   1. fit: scales (and minima) of the sub-blocks, quantized against the super-block's own scale (fit_affine/symmetric_block);
//   2. codes: the nearest code of every weight under those scales (affine/symmetric_codes);
//   3. pack: the bytes.
// Step 1 works on sixteen sub-blocks at once, one per lane: a super-block of Q2_K, Q3_K, Q6_K, or two of Q4_K, Q5_K.
namespace assay {
namespace {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"

using lanes::Float16;
using search::above;
using search::affine_error;
using search::as_half;
using search::both;
using search::inverse_of;
using search::kRuns;
using search::Runs;
using search::select;

constexpr int kSuper = 256;

// Sub-blocks of kSub weights: how many make a super-block, and how many super-blocks a set of sixteen holds.
template <int kSub>
constexpr int kSubBlocks = kSuper / kSub;
template <int kSub>
constexpr int kSupers = kRuns / kSubBlocks<kSub>;

// Every lane gets one(values of the lanes of its super-block).
template <int kSub, class One>
ASSAY_INLINE Float16 per_super(Float16 values, const One& one) {
  float lane[kRuns];
  lanes::store(lane, values);
  for (int s = 0; s < kSupers<kSub>; ++s) {
    float* mine = lane + s * kSubBlocks<kSub>;
    const float result = one(static_cast<const float*>(mine));
    for (int k = 0; k < kSubBlocks<kSub>; ++k) mine[k] = result;
  }
  return lanes::load(lane);
}

template <int kSub>
ASSAY_INLINE Float16 super_sum(Float16 values) {
  return per_super<kSub>(values, [](const float* v) __attribute__((always_inline)) {
    float total = 0;
    for (int k = 0; k < kSubBlocks<kSub>; ++k) total += v[k];
    return total;
  });
}

// What a super-block stores for one weight's decoding: d and dmin are equal in all lanes of a super-block.
struct Levels {
  Float16 d, dmin;         // as stored (fp16)
  Float16 scale, minimum;  // integers
};

ASSAY_INLINE Levels select_levels(Float16 flag, const Levels& a, const Levels& b) {
  return {select(flag, a.d, b.d), select(flag, a.dmin, b.dmin), select(flag, a.scale, b.scale), select(flag, a.minimum, b.minimum)};
}

// Set where least <= level <= most (whole numbers).
ASSAY_INLINE Float16 within(Float16 level, float least, float most) {
  return both(above(level, lanes::splat(least - 1)), above(lanes::splat(most + 1), level));
}

// ---- formats with a scale and a minimum per sub-block: Q2_K, Q4_K, Q5_K

// With d and dmin given: every sub-block takes the best of the nine integer pairs around its own fit. Returns the errors of the
// super-blocks.
template <int kSub>
ASSAY_INLINE Float16 choose_levels(const Runs<kSub>& runs, const search::Affine& fits, float high, float most, Levels& levels) {
  const Float16 base_s = lanes::round(lanes::clamp(fits.scale * inverse_of(levels.d), 0, most));
  const Float16 base_m = lanes::round(lanes::clamp(fits.minimum * inverse_of(levels.dmin), 0, most));
  Float16 best = lanes::splat(INFINITY);
  for (int a = -1; a <= 1; ++a)
    for (int b = -1; b <= 1; ++b) {
      const Float16 s = base_s + static_cast<float>(a), m = base_m + static_cast<float>(b);
      const Float16 error = affine_error(runs, levels.d * s, levels.dmin * m, high);
      const Float16 better = both(both(within(s, 0, most), within(m, 0, most)), above(best, error));
      best = select(better, error, best);
      levels.scale = select(better, s, levels.scale);
      levels.minimum = select(better, m, levels.minimum);
    }
  return super_sum<kSub>(best);
}

// Least squares for (d, dmin) of each super-block with all integers fixed; unchanged where they are not determined.
template <int kSub>
ASSAY_INLINE void refit_super(const Runs<kSub>& runs, Levels& levels, float high) {
  const Float16 scale = levels.d * levels.scale, minimum = levels.dmin * levels.minimum, inverse = inverse_of(scale);
  Float16 sums[5] = {};  // w, w q, w q^2, w x, w x q
  for (int i = 0; i < kSub; ++i) {
    const Float16 q = lanes::clamp(lanes::round((runs.x[i] + minimum) * inverse), 0, high), wq = runs.w[i] * q;
    sums[0] += runs.w[i];
    sums[1] += wq;
    sums[2] += wq * q;
    sums[3] += runs.w[i] * runs.x[i];
    sums[4] += wq * runs.x[i];
  }
  float sum[5][kRuns], s[kRuns], m[kRuns], d[kRuns], dmin[kRuns];
  for (int t = 0; t < 5; ++t) lanes::store(sum[t], sums[t]);
  lanes::store(s, levels.scale);
  lanes::store(m, levels.minimum);
  lanes::store(d, levels.d);
  lanes::store(dmin, levels.dmin);
  for (int first = 0; first < kRuns; first += kSubBlocks<kSub>) {
    double aa = 0, ab = 0, bb = 0, xa = 0, xb = 0;  // x = d a - dmin b, a = scale q, b = minimum
    for (int k = first; k < first + kSubBlocks<kSub>; ++k) {
      const double a = s[k], b = m[k];
      aa += a * a * static_cast<double>(sum[2][k]);
      ab += a * b * static_cast<double>(sum[1][k]);
      bb += b * b * static_cast<double>(sum[0][k]);
      xa += a * static_cast<double>(sum[4][k]);
      xb += b * static_cast<double>(sum[3][k]);
    }
    const double determinant = aa * bb - ab * ab;
    float new_d = d[first], new_dmin = dmin[first];
    if (bb <= 0) {
      if (aa > 0) new_d = as_half(static_cast<float>(xa / aa));
    } else if (determinant > 1e-12 * aa * bb) {
      new_d = as_half(static_cast<float>((xa * bb - ab * xb) / determinant));
      new_dmin = as_half(static_cast<float>((ab * xa - aa * xb) / determinant));
    }
    if (!(new_d > 0) || !(new_dmin >= 0)) continue;
    for (int k = first; k < first + kSubBlocks<kSub>; ++k) d[k] = new_d, dmin[k] = new_dmin;
  }
  levels.d = lanes::load(d);
  levels.dmin = lanes::load(dmin);
}

// d that puts the largest of a super-block's fits at level `most`.
template <int kSub>
ASSAY_INLINE Float16 unit_of(Float16 fits, float most) {
  return per_super<kSub>(fits, [=](const float* v) __attribute__((always_inline)) {
    float largest = 0;
    for (int k = 0; k < kSubBlocks<kSub>; ++k) largest = std::max(largest, v[k]);
    return search::stored_unit(largest / most);
  });
}

// One scale and minimum for a whole super-block, from its extremes.
template <int kSub>
ASSAY_INLINE Levels plain_levels(const Runs<kSub>& runs, float high) {
  const auto largest = [](const float* v) __attribute__((always_inline)) {
    float most = 0;
    for (int k = 0; k < kSubBlocks<kSub>; ++k) most = std::max(most, v[k]);
    return most;
  };
  Float16 minimum{}, range{};
  for (const Float16& x : runs.x) minimum = lanes::maximum(minimum, -x);
  minimum = per_super<kSub>(minimum, largest);
  for (const Float16& x : runs.x) range = lanes::maximum(range, x + minimum);
  range = per_super<kSub>(range, largest);
  return {search::as_halves(range / high), search::as_halves(minimum), lanes::splat(1), lanes::splat(1)};
}

template <int kSub>
ASSAY_INLINE Float16 levels_error(const Runs<kSub>& runs, const Levels& levels, float high) {
  return super_sum<kSub>(affine_error(runs, levels.d * levels.scale, levels.dmin * levels.minimum, high));
}

template <int kSub, int kSteps>
ASSAY_INLINE Levels fit_affine_block(const Runs<kSub>& runs, float high, float most, float first, float step) {
  const search::Affine fits = search::fit_affine<kSub, kSteps, false>(runs, high, first, step);
  Levels best = {unit_of<kSub>(fits.scale, most), unit_of<kSub>(fits.minimum, most), {}, {}};
  Float16 error = choose_levels(runs, fits, high, most, best);
  const Levels plain = plain_levels(runs, high);
  const Float16 plain_error = levels_error(runs, plain, high), plainer = above(error, plain_error);
  best = select_levels(plainer, plain, best);
  error = select(plainer, plain_error, error);
  for (int round = 0; round < 2; ++round) {
    Levels next = best;
    refit_super(runs, next, high);
    const Float16 refitted = round == 0 ? choose_levels(runs, fits, high, most, next) : levels_error(runs, next, high);
    const Float16 better = above(error, refitted);
    if (!search::any(better)) break;
    best = select_levels(better, next, best);
    error = select(better, refitted, error);
  }
  return best;
}

// The codes of run k under its own scale and minimum.
template <int kSub>
ASSAY_INLINE void affine_codes(const float* x, float scale, float minimum, float high, uint8_t* codes) {
  const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
  for (int i = 0; i < kSub; i += 16)
    folds::store_bytes(folds::whole(lanes::clamp(lanes::round((lanes::load(x + i) + minimum) * inverse), 0, high)), codes + i);
}

// ---- formats with a signed scale per sub-block of 16: Q3_K, Q6_K

ASSAY_INLINE float choose_scales(const Runs<16>& runs, Float16 fits, float low, float high, float least, float most, float d,
                                 Float16& scale) {
  const Float16 base = lanes::round(lanes::clamp(fits * (d != 0 ? 1.0f / d : 0.0f), least, most));
  Float16 best = lanes::splat(INFINITY);
  for (int a = -1; a <= 1; ++a) {
    const Float16 s = base + static_cast<float>(a), error = search::error_of(runs, d * s, search::Integers{low, high});
    const Float16 better = both(within(s, least, most), above(best, error));
    best = select(better, error, best);
    scale = select(better, s, scale);
  }
  return folds::sum(best);
}

// Least squares for d with all integers fixed; 0 if it is not determined.
ASSAY_INLINE float refit_scale(const Runs<16>& runs, float d, Float16 scale, float low, float high) {
  const Float16 inverse = inverse_of(d * scale);
  Float16 sum_xq{}, sum_qq{};
  for (int i = 0; i < 16; ++i) {
    const Float16 q = lanes::clamp(lanes::round(runs.x[i] * inverse), low, high), wq = runs.w[i] * q;
    sum_xq += wq * runs.x[i];
    sum_qq += wq * q;
  }
  float s[kRuns], xq[kRuns], qq[kRuns];
  lanes::store(s, scale);
  lanes::store(xq, sum_xq);
  lanes::store(qq, sum_qq);
  double xa = 0, aa = 0;
  for (int k = 0; k < kRuns; ++k) {
    const double a = s[k];
    xa += a * static_cast<double>(xq[k]);
    aa += a * a * static_cast<double>(qq[k]);
  }
  return aa > 0 ? as_half(static_cast<float>(xa / aa)) : 0;
}

// The lane of largest magnitude, sign included; the first of equals.
ASSAY_INLINE float extreme_of(Float16 values) {
  float lane[kRuns], extreme = 0;
  lanes::store(lane, values);
  for (const float v : lane)
    if (std::fabs(v) > std::fabs(extreme)) extreme = v;
  return extreme;
}

struct SymmetricBlock {
  float d = 0;  // as stored (fp16)
  Float16 scale{};
};

template <int kSteps>
ASSAY_INLINE SymmetricBlock fit_symmetric_block(const Runs<16>& runs, float low, float high, float least, float most) {
  const Float16 fits = search::fit_symmetric<16, kSteps>(runs, low, high);
  SymmetricBlock best;
  best.d = search::stored_unit(extreme_of(fits) / least);  // the far end is the negative one
  float error = choose_scales(runs, fits, low, high, least, most, best.d, best.scale);
  // One scale for the whole super-block, from its extreme.
  const float plain = as_half(extreme_of(search::signed_extreme(runs)) / low);
  const float plain_error = folds::sum(search::error_of(runs, lanes::splat(plain), search::Integers{low, high}));
  if (plain_error < error) {
    error = plain_error;
    best = {plain, lanes::splat(1)};
  }
  for (int round = 0; round < 2; ++round) {
    SymmetricBlock next = best;
    next.d = refit_scale(runs, best.d, best.scale, low, high);
    if (next.d == best.d || next.d == 0) break;
    const float refitted = choose_scales(runs, fits, low, high, least, most, next.d, next.scale);
    if (!(refitted < error)) break;
    error = refitted;
    best = next;
  }
  return best;
}

// Codes minus `low`, so that they are not negative; scales as bytes.
ASSAY_INLINE void symmetric_codes(const float* x, const SymmetricBlock& block, float low, float high, int8_t* scales, uint8_t* codes) {
  float scale[kRuns];
  lanes::store(scale, block.scale);
  for (int k = 0; k < kRuns; ++k) {
    const float full = block.d * scale[k], inverse = full != 0 ? 1.0f / full : 0.0f;
    const Float16 q = lanes::clamp(lanes::round(lanes::load(x + 16 * k) * inverse), low, high);
    folds::store_bytes(folds::whole(q - low), codes + 16 * k);
    scales[k] = static_cast<int8_t>(scale[k]);
  }
}

// ---- rows

ASSAY_INLINE const float* column(const float* importance, uint64_t at) { return importance == nullptr ? nullptr : importance + at; }

// Two bits per code, four runs of 32 codes to a run of 32 bytes (Q2_K, Q3_K).
ASSAY_INLINE void put_two_bits(const uint8_t* codes, std::byte* out) {
  for (int half = 0; half < 2; ++half)
    for (int l = 0; l < 32; ++l) {
      const uint8_t* q = codes + 128 * half + l;
      out[32 * half + l] = static_cast<std::byte>((q[0] & 3) | (q[32] & 3) << 2 | (q[64] & 3) << 4 | (q[96] & 3) << 6);
    }
}

// Bit `bit` of the eight codes l, l + 32, ..., to byte l (Q3_K, Q5_K).
ASSAY_INLINE void put_high_bits(const uint8_t* codes, int bit, std::byte* out) {
  for (int l = 0; l < 32; ++l) {
    unsigned bits = 0;
    for (int k = 0; k < 8; ++k) bits |= ((static_cast<unsigned>(codes[32 * k + l]) >> bit) & 1u) << k;
    out[l] = static_cast<std::byte>(bits);
  }
}

ASSAY_INLINE void q2_k(const float* row, const float* importance, uint64_t n, std::byte* out) {
  for (uint64_t b = 0; b < n; b += kSuper, out += 84) {
    Runs<16> runs;
    search::load_runs(row + b, column(importance, b), kRuns, runs);
    const Levels levels = fit_affine_block<16, 14>(runs, 3, 15, -0.7f, 0.1f);
    float scale[kRuns], minimum[kRuns];
    lanes::store(scale, levels.scale);
    lanes::store(minimum, levels.minimum);
    uint8_t codes[kSuper];
    for (int k = 0; k < kRuns; ++k) {
      affine_codes<16>(row + b + 16 * k, levels.d[0] * scale[k], levels.dmin[0] * minimum[k], 3, codes + 16 * k);
      out[k] = static_cast<std::byte>(static_cast<unsigned>(scale[k]) | static_cast<unsigned>(minimum[k]) << 4);
    }
    put_two_bits(codes, out + 16);
    store_u16(out + 80, float_to_half(levels.d[0]));
    store_u16(out + 82, float_to_half(levels.dmin[0]));
  }
}

ASSAY_INLINE void q3_k(const float* row, const float* importance, uint64_t n, std::byte* out) {
  for (uint64_t b = 0; b < n; b += kSuper, out += 110) {
    Runs<16> runs;
    search::load_runs(row + b, column(importance, b), kRuns, runs);
    const SymmetricBlock block = fit_symmetric_block<9>(runs, -4, 3, -32, 31);
    uint8_t codes[kSuper];
    int8_t scales[kRuns];
    symmetric_codes(row + b, block, -4, 3, scales, codes);
    put_high_bits(codes, 2, out);
    put_two_bits(codes, out + 32);
    kquant::put_q3_scales(out + 96, scales);
    store_u16(out + 108, float_to_half(block.d));
  }
}

template <bool kFifthBit>
ASSAY_INLINE void q45_k(const float* row, const float* importance, uint64_t n, std::byte* out) {
  constexpr uint64_t kBytes = kFifthBit ? 176 : 144;
  constexpr float kHigh = kFifthBit ? 31 : 15;
  for (uint64_t b = 0; b < n; b += 2 * kSuper) {  // two super-blocks; the last may be alone
    const int count = n - b < 2 * kSuper ? 8 : 16;
    Runs<32> runs;
    search::load_runs(row + b, column(importance, b), count, runs);
    const Levels levels = fit_affine_block<32, 14>(runs, kHigh, 63, -0.9f, 0.1f);
    float scale[kRuns], minimum[kRuns], d[kRuns], dmin[kRuns];
    lanes::store(scale, levels.scale);
    lanes::store(minimum, levels.minimum);
    lanes::store(d, levels.d);
    lanes::store(dmin, levels.dmin);
    for (int first = 0; first < count; first += 8, out += kBytes) {
      uint8_t codes[kSuper], scales[8], minima[8];
      for (int k = 0; k < 8; ++k) {
        const int run = first + k;
        affine_codes<32>(row + b + 32 * run, d[run] * scale[run], dmin[run] * minimum[run], kHigh, codes + 32 * k);
        scales[k] = static_cast<uint8_t>(scale[run]);
        minima[k] = static_cast<uint8_t>(minimum[run]);
      }
      store_u16(out, float_to_half(d[first]));
      store_u16(out + 2, float_to_half(dmin[first]));
      kquant::put_scale_mins(out + 4, scales, minima);
      std::byte* qs = out + (kFifthBit ? 48 : 16);
      for (int pair = 0; pair < 4; ++pair)
        for (int l = 0; l < 32; ++l) {
          const uint8_t* q = codes + 64 * pair + l;
          qs[32 * pair + l] = static_cast<std::byte>((q[0] & 15) | (q[32] & 15) << 4);
        }
      if (kFifthBit) put_high_bits(codes, 4, out + 16);
    }
  }
}

ASSAY_INLINE void q6_k(const float* row, const float* importance, uint64_t n, std::byte* out) {
  for (uint64_t b = 0; b < n; b += kSuper, out += 210) {
    Runs<16> runs;
    search::load_runs(row + b, column(importance, b), kRuns, runs);
    const SymmetricBlock block = fit_symmetric_block<9>(runs, -32, 31, -128, 127);
    uint8_t codes[kSuper];
    int8_t scales[kRuns];
    symmetric_codes(row + b, block, -32, 31, scales, codes);
    for (int half = 0; half < 2; ++half)
      for (int l = 0; l < 32; ++l) {
        const uint8_t* q = codes + 128 * half + l;
        out[64 * half + l] = static_cast<std::byte>((q[0] & 15) | (q[64] & 15) << 4);
        out[64 * half + 32 + l] = static_cast<std::byte>((q[32] & 15) | (q[96] & 15) << 4);
        out[128 + 32 * half + l] = static_cast<std::byte>(q[0] >> 4 | (q[32] >> 4) << 2 | (q[64] >> 4) << 4 | (q[96] >> 4) << 6);
      }
    for (int k = 0; k < 16; ++k) out[192 + k] = static_cast<std::byte>(scales[k]);
    store_u16(out + 208, float_to_half(block.d));
  }
}

#pragma GCC diagnostic pop

}  // namespace

ASSAY_ENCODER(encode_q2_k, q2_k)
ASSAY_ENCODER(encode_q3_k, q3_k)
ASSAY_ENCODER(encode_q4_k, q45_k<false>)
ASSAY_ENCODER(encode_q5_k, q45_k<true>)
ASSAY_ENCODER(encode_q6_k, q6_k)

}  // namespace assay
