#include "assay/model/panel_product.h"

#include <algorithm>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

// One set for both operand types: compilers emit the bfloat16 instructions for their intrinsics only.
#define ASSAY_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))
#define ASSAY_TARGET_INLINE __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16"), always_inline)) inline
#define ASSAY_UNROLL _Pragma("GCC unroll 8")

namespace assay::panel {
namespace {

constexpr int kVectors = kOutputs / 16;
constexpr int kTile = 6;              // rows of a full tile: 24 registers of sums, 4 of weights, 1 of input
constexpr int64_t kSteps = 128;       // steps of one pass: 32 KiB of the panel
constexpr int64_t kRowsPerPass = 96;  // 24 KiB of unfinished sums

// How one step multiplies 16 outputs.
struct Float32 {
  using Element = float;
  using Vector = __m512;
  static constexpr int64_t kInputs = 1;
  ASSAY_TARGET_INLINE static Vector weights(const Element* at) { return _mm512_loadu_ps(at); }
  ASSAY_TARGET_INLINE static Vector input(const Element* at) { return _mm512_set1_ps(*at); }
  ASSAY_TARGET_INLINE static __m512 add(__m512 sum, Vector x, Vector w) { return _mm512_fmadd_ps(x, w, sum); }
};

struct BFloat16 {
  using Element = uint16_t;
  using Vector = __m512bh;
  static constexpr int64_t kInputs = 2;
  ASSAY_TARGET_INLINE static Vector weights(const Element* at) { return (__m512bh)_mm512_loadu_si512(at); }
  ASSAY_TARGET_INLINE static Vector input(const Element* at) {
    int32_t two;
    std::memcpy(&two, at, sizeof two);
    return (__m512bh)_mm512_set1_epi32(two);
  }
  ASSAY_TARGET_INLINE static __m512 add(__m512 sum, Vector x, Vector w) { return _mm512_dpbf16_ps(sum, x, w); }
};

// Where x[row][input] lies: rows side by side, or (turned) inputs side by side.
template <bool kTurned>
int64_t place(int64_t row, int64_t input, int64_t stride) {
  return kTurned ? input * stride + row : row * stride + input;
}

// A pass over some of the inputs: where its sums come from and go to.
struct Pass {
  int64_t x_stride, steps;
  bool first, last;
  int64_t stride;  // of y
  int64_t addend_stride;
  bool streamed;
  __mmask16 columns[kVectors];
};

template <class Operand, bool kTurned, int kRowCount>
ASSAY_TARGET void tile(const Pass& pass, const typename Operand::Element* x, const typename Operand::Element* panel, float* unfinished,
                       const float* addend, float* y) {
  __m512 sum[kRowCount][kVectors];
  ASSAY_UNROLL for (int r = 0; r < kRowCount; ++r) {
    ASSAY_UNROLL for (int v = 0; v < kVectors; ++v) sum[r][v] =
        pass.first ? _mm512_setzero_ps() : _mm512_loadu_ps(unfinished + r * kOutputs + v * 16);
  }
  const int64_t stride = pass.x_stride;
  for (int64_t s = 0; s < pass.steps; ++s) {
    typename Operand::Vector w[kVectors];
    ASSAY_UNROLL for (int v = 0; v < kVectors; ++v) w[v] = Operand::weights(panel + (s * kVectors + v) * 16 * Operand::kInputs);
    ASSAY_UNROLL for (int r = 0; r < kRowCount; ++r) {
      const typename Operand::Vector input = Operand::input(x + place<kTurned>(r, s * Operand::kInputs, stride));
      ASSAY_UNROLL for (int v = 0; v < kVectors; ++v) sum[r][v] = Operand::add(sum[r][v], input, w[v]);
    }
  }
  if (!pass.last) {
    ASSAY_UNROLL for (int r = 0; r < kRowCount; ++r) {
      ASSAY_UNROLL for (int v = 0; v < kVectors; ++v) _mm512_storeu_ps(unfinished + r * kOutputs + v * 16, sum[r][v]);
    }
    return;
  }
  ASSAY_UNROLL for (int r = 0; r < kRowCount; ++r) {
    ASSAY_UNROLL for (int v = 0; v < kVectors; ++v) {
      float* to = y + r * pass.stride + v * 16;
      if (addend != nullptr) {
        const float* from = addend + r * pass.addend_stride + v * 16;
        sum[r][v] = _mm512_add_ps(_mm512_maskz_loadu_ps(pass.columns[v], from), sum[r][v]);
      }
      if (pass.streamed) {
        _mm512_stream_ps(to, sum[r][v]);
      } else {
        _mm512_mask_storeu_ps(to, pass.columns[v], sum[r][v]);
      }
    }
  }
}

// Weights in a panel: a step's outputs follow those of the step before.
template <class Operand>
struct Packed {
  const typename Operand::Element* panel;
  const typename Operand::Element* steps(int64_t first, int64_t) { return panel + first * kOutputs * Operand::kInputs; }
};

// Weights as they lie in memory, [in, ..]: the steps of a pass are brought together first, 1 part in 50 of its arithmetic.
struct AsStored {
  using Element = float;
  AsStored(const float* weights, int64_t row_stride, int64_t count) : from(weights), stride(row_stride), outputs(count) {
    if (outputs < kOutputs) std::memset(panel, 0, sizeof panel);
  }
  const float* steps(int64_t first, int64_t count) {
    for (int64_t s = 0; s < count; ++s)
      std::memcpy(panel + s * kOutputs, from + (first + s) * stride, static_cast<size_t>(outputs) * sizeof(float));
    return panel;
  }
  const float* from;
  int64_t stride, outputs;
  alignas(64) float panel[kSteps * kOutputs];
};

template <class Operand, bool kTurned, class Weights>
void multiply(const Rows& rows, const typename Operand::Element* x, Weights& weights, int64_t outputs, float* y) {
  alignas(64) float unfinished[kRowsPerPass * kOutputs];
  constexpr decltype(&tile<Operand, kTurned, 1>) kTails[] = {nullptr,
                                                             tile<Operand, kTurned, 1>,
                                                             tile<Operand, kTurned, 2>,
                                                             tile<Operand, kTurned, 3>,
                                                             tile<Operand, kTurned, 4>,
                                                             tile<Operand, kTurned, 5>};
  Pass pass;
  pass.x_stride = rows.x_stride != 0 ? rows.x_stride : rows.in;
  pass.stride = rows.stride;
  pass.addend_stride = rows.addend_stride;
  pass.streamed = rows.streamed && outputs == kOutputs;
  for (int v = 0; v < kVectors; ++v) {
    const int64_t left = std::clamp<int64_t>(outputs - v * 16, 0, 16);
    pass.columns[v] = static_cast<__mmask16>((1u << left) - 1);
  }
  const int64_t all_steps = rows.in / Operand::kInputs;
  for (int64_t begin = 0; begin < rows.count; begin += kRowsPerPass) {
    const int64_t end = std::min(begin + kRowsPerPass, rows.count);
    for (int64_t step = 0; step < all_steps; step += kSteps) {
      pass.steps = std::min(kSteps, all_steps - step);
      pass.first = step == 0;
      pass.last = step + pass.steps == all_steps;
      const auto* panel = weights.steps(step, pass.steps);
      const auto run = [&](decltype(kTails[0]) some, int64_t r) {
        const float* addend = rows.addend == nullptr ? nullptr : rows.addend + r * rows.addend_stride;
        some(pass, x + place<kTurned>(r, step * Operand::kInputs, pass.x_stride), panel, unfinished + (r - begin) * kOutputs, addend,
             y + r * rows.stride);
      };
      int64_t r = begin;
      for (; r + kTile <= end; r += kTile) run(tile<Operand, kTurned, kTile>, r);
      if (r < end) run(kTails[end - r], r);
    }
  }
  if (pass.streamed) _mm_sfence();
}

ASSAY_TARGET __m512i round_32(const float* from) { return (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(from + 16), _mm512_loadu_ps(from)); }

ASSAY_TARGET __m512i round_32(const float* from, const float* base) {
  const __m512 low = _mm512_sub_ps(_mm512_loadu_ps(from), _mm512_loadu_ps(base));
  const __m512 high = _mm512_sub_ps(_mm512_loadu_ps(from + 16), _mm512_loadu_ps(base + 16));
  return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

}  // namespace

bool float32_supported() { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl"); }
bool bf16_supported() { return float32_supported() && __builtin_cpu_supports("avx512bf16"); }

bool has_matrix_units() {
  constexpr unsigned kAmxBf16 = 1u << 22;  // leaf 7, EDX
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (edx & kAmxBf16) != 0;
}

void pack_float32(const float* weight, int64_t in, int64_t outputs, float* to, int64_t stride) {
  const int64_t row = stride != 0 ? stride : in;
  constexpr int64_t kBlock = 64;  // inputs turned together: the block of `to` stays in the first cache
  if (outputs < kOutputs) std::memset(to, 0, static_cast<size_t>(kOutputs * in) * sizeof *to);
  for (int64_t begin = 0; begin < in; begin += kBlock) {
    const int64_t end = std::min(begin + kBlock, in);
    for (int64_t o = 0; o < outputs; ++o)
      for (int64_t i = begin; i < end; ++i) to[i * kOutputs + o] = weight[o * row + i];
  }
}

void pack_bf16(const float* weight, int64_t in, int64_t outputs, uint16_t* to) {
  constexpr int64_t kBlock = 128;
  if (outputs < kOutputs) std::memset(to, 0, static_cast<size_t>(kOutputs * in) * sizeof *to);
  uint32_t pairs[kBlock / 2];
  for (int64_t begin = 0; begin < in; begin += kBlock) {
    const int64_t count = std::min(kBlock, in - begin);
    for (int64_t o = 0; o < outputs; ++o) {
      round_bf16(weight + o * in + begin, count, reinterpret_cast<uint16_t*>(pairs));
      for (int64_t p = 0; p < count / 2; ++p) std::memcpy(to + ((begin / 2 + p) * kOutputs + o) * 2, &pairs[p], sizeof pairs[p]);
    }
  }
}

ASSAY_TARGET void round_bf16(const float* from, int64_t n, uint16_t* to) {
  int64_t i = 0;
  for (; i + 32 <= n; i += 32) _mm512_storeu_si512(to + i, round_32(from + i));
  if (i == n) return;
  float rest[32] = {};
  uint16_t rounded[32];
  std::memcpy(rest, from + i, static_cast<size_t>(n - i) * sizeof *from);
  _mm512_storeu_si512(rounded, round_32(rest));
  std::memcpy(to + i, rounded, static_cast<size_t>(n - i) * sizeof *to);
}

ASSAY_TARGET void round_difference_bf16(const float* from, const float* base, int64_t n, uint16_t* to) {
  int64_t i = 0;
  for (; i + 32 <= n; i += 32) _mm512_storeu_si512(to + i, round_32(from + i, base + i));
  if (i == n) return;
  float rest[32] = {}, rest_base[32] = {};
  uint16_t rounded[32];
  std::memcpy(rest, from + i, static_cast<size_t>(n - i) * sizeof *from);
  std::memcpy(rest_base, base + i, static_cast<size_t>(n - i) * sizeof *base);
  _mm512_storeu_si512(rounded, round_32(rest, rest_base));
  std::memcpy(to + i, rounded, static_cast<size_t>(n - i) * sizeof *to);
}

void multiply_float32(const Rows& rows, const float* x, const float* panel, int64_t outputs, float* y) {
  Packed<Float32> weights{panel};
  multiply<Float32, false>(rows, x, weights, outputs, y);
}
void multiply_bf16(const Rows& rows, const uint16_t* x, const uint16_t* panel, int64_t outputs, float* y) {
  Packed<BFloat16> weights{panel};
  multiply<BFloat16, false>(rows, x, weights, outputs, y);
}
void multiply_stored(const Rows& rows, const float* x, const float* w, int64_t w_stride, int64_t outputs, float* y) {
  AsStored weights(w, w_stride, outputs);
  multiply<Float32, false>(rows, x, weights, outputs, y);
}
void multiply_turned(const Rows& rows, const float* x, const float* w, int64_t w_stride, int64_t outputs, float* y) {
  AsStored weights(w, w_stride, outputs);
  multiply<Float32, true>(rows, x, weights, outputs, y);
}

}  // namespace assay::panel

#else  // no such CPU

namespace assay::panel {

bool float32_supported() { return false; }
bool bf16_supported() { return false; }
bool has_matrix_units() { return false; }
void pack_float32(const float*, int64_t, int64_t, float*, int64_t) {}
void pack_bf16(const float*, int64_t, int64_t, uint16_t*) {}
void round_bf16(const float*, int64_t, uint16_t*) {}
void round_difference_bf16(const float*, const float*, int64_t, uint16_t*) {}
void multiply_float32(const Rows&, const float*, const float*, int64_t, float*) {}
void multiply_bf16(const Rows&, const uint16_t*, const uint16_t*, int64_t, float*) {}
void multiply_stored(const Rows&, const float*, const float*, int64_t, int64_t, float*) {}
void multiply_turned(const Rows&, const float*, const float*, int64_t, int64_t, float*) {}

}  // namespace assay::panel

#endif
