#include "assay/quant/kquant_encode.h"

#include <algorithm>

#include "assay/quant/folds.h"
#include "assay/quant/half.h"
#include "assay/quant/kquant_layout.h"
#include "assay/quant/scale_search.h"

// Each format is encoded in three steps that stay apart, so that a better choice of codes can replace the second:
//   1. fit: scales (and minima) of the sub-blocks, quantized against the super-block's own scale (Symmetric/AffineBlock);
//   2. codes: the nearest code of every weight under those scales;
//   3. pack: the bytes.
namespace assay {
namespace {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"

using lanes::Float16;

constexpr int kSuper = 256;
constexpr float kLargestHalf = 65504.0f;

ASSAY_INLINE float as_half(float value) { return half_to_float(float_to_half(std::clamp(value, -kLargestHalf, kLargestHalf))); }

// Weights of a super-block: the importance, or ones; a run without any importance counts as ones.
template <int kSub>
ASSAY_INLINE void load_weights(const float* importance, uint64_t column, float* w) {
  for (int i = 0; i < kSuper; ++i) w[i] = importance != nullptr ? importance[column + static_cast<uint64_t>(i)] : 1.0f;
  if (importance == nullptr) return;
  for (int s = 0; s < kSuper; s += kSub) {
    float total = 0;
    for (int i = 0; i < kSub; ++i) total += w[s + i];
    if (total > 0) continue;
    for (int i = 0; i < kSub; ++i) w[s + i] = 1.0f;
  }
}

// ---- formats with a scale and a minimum per sub-block: Q2_K, Q4_K, Q5_K

template <int kSub>
struct AffineBlock {
  static constexpr int kCount = kSuper / kSub;
  float d = 0, dmin = 0;        // as stored (fp16)
  uint8_t scale[kCount] = {};   // 0 .. kLevels
  uint8_t minimum[kCount] = {};
};

// Error of a run under (scale, minimum) with nearest codes.
template <int kSub>
ASSAY_INLINE float affine_error(const float* x, const float* w, float scale, float minimum, float high) {
  const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
  Float16 total{};
  for (int i = 0; i < kSub; i += 16) {
    const Float16 v = lanes::load(x + i);
    const Float16 q = lanes::clamp(lanes::round((v + minimum) * inverse), 0, high);
    const Float16 e = v + minimum - q * scale;
    total += lanes::load(w + i) * e * e;
  }
  return folds::sum(total);
}

template <int kSub>
ASSAY_INLINE void affine_codes(const float* x, const AffineBlock<kSub>& block, float high, uint8_t* codes) {
  float q[kSub];
  for (int k = 0; k < AffineBlock<kSub>::kCount; ++k) {
    const float scale = block.d * static_cast<float>(block.scale[k]), minimum = block.dmin * static_cast<float>(block.minimum[k]);
    const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
    for (int i = 0; i < kSub; i += 16)
      lanes::store(q + i, lanes::clamp(lanes::round((lanes::load(x + k * kSub + i) + minimum) * inverse), 0, high));
    for (int i = 0; i < kSub; ++i) codes[k * kSub + i] = static_cast<uint8_t>(q[i]);
  }
}

template <int kSub>
ASSAY_INLINE float affine_total(const float* x, const float* w, const AffineBlock<kSub>& block, float high) {
  float total = 0;
  for (int k = 0; k < AffineBlock<kSub>::kCount; ++k)
    total += affine_error<kSub>(x + k * kSub, w + k * kSub, block.d * static_cast<float>(block.scale[k]),
                                block.dmin * static_cast<float>(block.minimum[k]), high);
  return total;
}

// With d and dmin given: every sub-block takes the best of the nine integer pairs around its own fit.
template <int kSub>
ASSAY_INLINE float choose_levels(const float* x, const float* w, const search::Affine* fits, float high, float levels, AffineBlock<kSub>& block) {
  float total = 0;
  for (int k = 0; k < AffineBlock<kSub>::kCount; ++k) {
    const float ls = block.d > 0 ? fits[k].scale / block.d : 0, lm = block.dmin > 0 ? fits[k].minimum / block.dmin : 0;
    const float base_s = std::clamp(std::nearbyint(ls), 0.0f, levels), base_m = std::clamp(std::nearbyint(lm), 0.0f, levels);
    float best = INFINITY;
    for (int a = -1; a <= 1; ++a) {
      const float s = base_s + static_cast<float>(a);
      if (s < 0 || s > levels) continue;
      for (int b = -1; b <= 1; ++b) {
        const float m = base_m + static_cast<float>(b);
        if (m < 0 || m > levels) continue;
        const float error = affine_error<kSub>(x + k * kSub, w + k * kSub, block.d * s, block.dmin * m, high);
        if (error >= best) continue;
        best = error;
        block.scale[k] = static_cast<uint8_t>(s);
        block.minimum[k] = static_cast<uint8_t>(m);
      }
    }
    total += best;
  }
  return total;
}

// Least squares for (d, dmin) with all integers fixed; false if they are not determined.
template <int kSub>
ASSAY_INLINE bool refit_super(const float* x, const float* w, const AffineBlock<kSub>& block, float high, float& d, float& dmin) {
  uint8_t codes[kSuper];
  affine_codes<kSub>(x, block, high, codes);
  double aa = 0, ab = 0, bb = 0, xa = 0, xb = 0;  // x = d a - dmin b, a = scale q, b = minimum
  for (int k = 0; k < AffineBlock<kSub>::kCount; ++k) {
    float wqq = 0, wq = 0, sw = 0, wxq = 0, wx = 0;
    for (int i = k * kSub; i < (k + 1) * kSub; ++i) {
      const auto q = static_cast<float>(codes[i]);
      sw += w[i];
      wq += w[i] * q;
      wqq += w[i] * q * q;
      wx += w[i] * x[i];
      wxq += w[i] * x[i] * q;
    }
    const double s = block.scale[k], m = block.minimum[k];
    aa += s * s * static_cast<double>(wqq);
    ab += s * m * static_cast<double>(wq);
    bb += m * m * static_cast<double>(sw);
    xa += s * static_cast<double>(wxq);
    xb += m * static_cast<double>(wx);
  }
  const double determinant = aa * bb - ab * ab;
  if (bb <= 0) {
    if (aa <= 0) return false;
    d = as_half(static_cast<float>(xa / aa));
    return d > 0;
  }
  if (!(determinant > 1e-12 * aa * bb)) return false;
  d = as_half(static_cast<float>((xa * bb - ab * xb) / determinant));
  dmin = as_half(static_cast<float>((ab * xa - aa * xb) / determinant));
  return d > 0 && dmin >= 0;
}

template <int kSub, int kSteps>
ASSAY_INLINE AffineBlock<kSub> fit_affine_block(const float* x, const float* w, float high, float levels, float first, float step) {
  constexpr int kCount = AffineBlock<kSub>::kCount;
  search::Affine fits[kCount];
  float max_scale = 0, max_minimum = 0;
  for (int k = 0; k < kCount; ++k) {
    fits[k] = search::fit_affine<kSub, kSteps, false>(x + k * kSub, w + k * kSub, high, first, step);
    max_scale = std::max(max_scale, fits[k].scale);
    max_minimum = std::max(max_minimum, fits[k].minimum);
  }
  AffineBlock<kSub> best;
  best.d = as_half(max_scale / levels);
  best.dmin = as_half(max_minimum / levels);
  float error = choose_levels<kSub>(x, w, fits, high, levels, best);
  for (int round = 0; round < 2; ++round) {
    AffineBlock<kSub> next = best;
    if (!refit_super<kSub>(x, w, best, high, next.d, next.dmin)) break;
    const float refitted = round == 0 ? choose_levels<kSub>(x, w, fits, high, levels, next) : affine_total<kSub>(x, w, next, high);
    if (!(refitted < error)) break;
    error = refitted;
    best = next;
  }
  return best;
}

// ---- formats with a signed scale per sub-block of 16: Q3_K, Q6_K

struct SymmetricBlock {
  static constexpr int kSub = 16, kCount = kSuper / kSub;
  float d = 0;               // as stored (fp16)
  int8_t scale[kCount] = {};
};

ASSAY_INLINE float symmetric_error(const float* x, const float* w, float scale, float low, float high) {
  const float inverse = scale != 0 ? 1.0f / scale : 0.0f;
  const Float16 v = lanes::load(x);
  const Float16 q = lanes::clamp(lanes::round(v * inverse), low, high);
  const Float16 e = v - q * scale;
  return folds::sum(lanes::load(w) * e * e);
}

ASSAY_INLINE void symmetric_codes(const float* x, const SymmetricBlock& block, float low, float high, int8_t* codes) {
  float q[16];
  for (int k = 0; k < SymmetricBlock::kCount; ++k) {
    const float scale = block.d * static_cast<float>(block.scale[k]), inverse = scale != 0 ? 1.0f / scale : 0.0f;
    lanes::store(q, lanes::clamp(lanes::round(lanes::load(x + 16 * k) * inverse), low, high));
    for (int i = 0; i < 16; ++i) codes[16 * k + i] = static_cast<int8_t>(q[i]);
  }
}

ASSAY_INLINE float choose_scales(const float* x, const float* w, const float* fits, float low, float high, float least, float most, SymmetricBlock& block) {
  float total = 0;
  for (int k = 0; k < SymmetricBlock::kCount; ++k) {
    const float base = block.d != 0 ? std::clamp(std::nearbyint(fits[k] / block.d), least, most) : 0.0f;
    float best = INFINITY;
    for (int a = -1; a <= 1; ++a) {
      const float s = base + static_cast<float>(a);
      if (s < least || s > most) continue;
      const float error = symmetric_error(x + 16 * k, w + 16 * k, block.d * s, low, high);
      if (error >= best) continue;
      best = error;
      block.scale[k] = static_cast<int8_t>(s);
    }
    total += best;
  }
  return total;
}

template <int kSteps>
ASSAY_INLINE SymmetricBlock fit_symmetric_block(const float* x, const float* w, float low, float high, float least, float most) {
  float fits[SymmetricBlock::kCount], extreme = 0;
  for (int k = 0; k < SymmetricBlock::kCount; ++k) {
    fits[k] = search::fit_symmetric<16, kSteps>(x + 16 * k, w + 16 * k, low, high).scale;
    if (std::fabs(fits[k]) > std::fabs(extreme)) extreme = fits[k];
  }
  SymmetricBlock best;
  best.d = as_half(extreme / least);  // the far end is the negative one
  float error = choose_scales(x, w, fits, low, high, least, most, best);
  for (int round = 0; round < 2; ++round) {
    int8_t codes[kSuper];
    symmetric_codes(x, best, low, high, codes);
    double xa = 0, aa = 0;
    for (int k = 0; k < SymmetricBlock::kCount; ++k) {
      float wxq = 0, wqq = 0;
      for (int i = 16 * k; i < 16 * k + 16; ++i) {
        const auto q = static_cast<float>(codes[i]);
        wxq += w[i] * x[i] * q;
        wqq += w[i] * q * q;
      }
      const double s = best.scale[k];
      xa += s * static_cast<double>(wxq);
      aa += s * s * static_cast<double>(wqq);
    }
    if (!(aa > 0)) break;
    SymmetricBlock next = best;
    next.d = as_half(static_cast<float>(xa / aa));
    if (next.d == best.d || next.d == 0) break;
    const float refitted = choose_scales(x, w, fits, low, high, least, most, next);
    if (!(refitted < error)) break;
    error = refitted;
    best = next;
  }
  return best;
}

#pragma GCC diagnostic pop

}  // namespace

ASSAY_CLONES void encode_q2_k(const float* row, const float* importance, uint64_t n, std::byte* out) {
  for (uint64_t b = 0; b < n; b += kSuper, out += 84) {
    float w[kSuper];
    load_weights<16>(importance, b, w);
    const auto block = fit_affine_block<16, 14>(row + b, w, 3, 15, -0.7f, 0.1f);
    uint8_t codes[kSuper];
    affine_codes<16>(row + b, block, 3, codes);
    for (int k = 0; k < 16; ++k) out[k] = static_cast<std::byte>(block.scale[k] | block.minimum[k] << 4);
    for (int half = 0; half < 2; ++half)
      for (int l = 0; l < 32; ++l) {
        const uint8_t* q = codes + 128 * half + l;
        out[16 + 32 * half + l] = static_cast<std::byte>(q[0] | q[32] << 2 | q[64] << 4 | q[96] << 6);
      }
    store_u16(out + 80, float_to_half(block.d));
    store_u16(out + 82, float_to_half(block.dmin));
  }
}

ASSAY_CLONES void encode_q3_k(const float* row, const float* importance, uint64_t n, std::byte* out) {
  for (uint64_t b = 0; b < n; b += kSuper, out += 110) {
    float w[kSuper];
    load_weights<16>(importance, b, w);
    const SymmetricBlock block = fit_symmetric_block<9>(row + b, w, -4, 3, -32, 31);
    int8_t codes[kSuper];
    symmetric_codes(row + b, block, -4, 3, codes);
    for (int i = 0; i < 96; ++i) out[i] = std::byte{0};
    for (int i = 0; i < kSuper; ++i) {
      const auto raw = static_cast<unsigned>(codes[i] + 4);
      out[32 + i / 128 * 32 + i % 32] |= static_cast<std::byte>((raw & 3u) << (2 * (i % 128 / 32)));
      out[i % 32] |= static_cast<std::byte>((raw >> 2) << (i / 32));
    }
    kquant::put_q3_scales(out + 96, block.scale);
    store_u16(out + 108, float_to_half(block.d));
  }
}

namespace {

template <bool kFifthBit>
ASSAY_INLINE void encode_q45_k(const float* row, const float* importance, uint64_t n, std::byte* out) {
  constexpr uint64_t kBytes = kFifthBit ? 176 : 144;
  constexpr float kHigh = kFifthBit ? 31 : 15;
  for (uint64_t b = 0; b < n; b += kSuper, out += kBytes) {
    float w[kSuper];
    load_weights<32>(importance, b, w);
    const auto block = fit_affine_block<32, 14>(row + b, w, kHigh, 63, -0.9f, 0.1f);
    uint8_t codes[kSuper];
    affine_codes<32>(row + b, block, kHigh, codes);
    store_u16(out, float_to_half(block.d));
    store_u16(out + 2, float_to_half(block.dmin));
    kquant::put_scale_mins(out + 4, block.scale, block.minimum);
    std::byte* qs = out + (kFifthBit ? 48 : 16);
    for (int pair = 0; pair < 4; ++pair)
      for (int l = 0; l < 32; ++l) {
        const uint8_t* q = codes + 64 * pair + l;
        qs[32 * pair + l] = static_cast<std::byte>((q[0] & 15) | (q[32] & 15) << 4);
      }
    if (!kFifthBit) continue;
    for (int l = 0; l < 32; ++l) {
      unsigned bits = 0;
      for (int k = 0; k < 8; ++k) bits |= static_cast<unsigned>(codes[32 * k + l] >> 4) << k;
      out[16 + l] = static_cast<std::byte>(bits);
    }
  }
}

}  // namespace

ASSAY_CLONES void encode_q4_k(const float* row, const float* importance, uint64_t n, std::byte* out) {
  encode_q45_k<false>(row, importance, n, out);
}
ASSAY_CLONES void encode_q5_k(const float* row, const float* importance, uint64_t n, std::byte* out) {
  encode_q45_k<true>(row, importance, n, out);
}

ASSAY_CLONES void encode_q6_k(const float* row, const float* importance, uint64_t n, std::byte* out) {
  for (uint64_t b = 0; b < n; b += kSuper, out += 210) {
    float w[kSuper];
    load_weights<16>(importance, b, w);
    const SymmetricBlock block = fit_symmetric_block<9>(row + b, w, -32, 31, -128, 127);
    int8_t codes[kSuper];
    symmetric_codes(row + b, block, -32, 31, codes);
    for (int half = 0; half < 2; ++half)
      for (int l = 0; l < 32; ++l) {
        unsigned q[4];
        for (int t = 0; t < 4; ++t) q[t] = static_cast<unsigned>(codes[128 * half + 32 * t + l] + 32);
        out[64 * half + l] = static_cast<std::byte>((q[0] & 15u) | (q[2] & 15u) << 4);
        out[64 * half + 32 + l] = static_cast<std::byte>((q[1] & 15u) | (q[3] & 15u) << 4);
        out[128 + 32 * half + l] = static_cast<std::byte>(q[0] >> 4 | (q[1] >> 4) << 2 | (q[2] >> 4) << 4 | (q[3] >> 4) << 6);
      }
    for (int k = 0; k < 16; ++k) out[192 + k] = static_cast<std::byte>(block.scale[k]);
    store_u16(out + 208, float_to_half(block.d));
  }
}

}  // namespace assay
