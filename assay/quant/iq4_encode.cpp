#include "assay/quant/iq4_encode.h"

#include <algorithm>

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
using search::above;
using search::both;
using search::kRuns;
using search::Runs;

constexpr int kRun = 32;
// The nearest table value, lane by lane: one comparison per gap.
struct Nearest {
  ASSAY_INLINE Float16 operator()(Float16 x) const {
    Float16 value = lanes::splat(kIq4Values[0]);
    for (int k = 0; k < 15; ++k) {
      const float middle = 0.5f * (kIq4Values[k] + kIq4Values[k + 1]);
      value = x > middle ? lanes::splat(kIq4Values[k + 1]) : value;
    }
    return value;
  }
};

ASSAY_INLINE Int16 nearest_index(Float16 x) {
  Int16 index{};
  for (int k = 0; k < 15; ++k) index -= x > 0.5f * (kIq4Values[k] + kIq4Values[k + 1]);  // a true lane is -1
  return index;
}

// Starts: the extreme on either end of the table and in between.
ASSAY_INLINE Float16 fit_runs(const Runs<kRun>& runs) {
  constexpr int kLow = 15, kHigh = 9;
  return search::fit_scale(runs, Nearest{}, kLow + kHigh, [](int k) __attribute__((always_inline)) {
    return k < kLow ? kIq4Values[0] + static_cast<float>(k - kLow / 2) : kIq4Values[15] + 1.5f * static_cast<float>(k - kLow - kHigh / 2);
  });
}

ASSAY_INLINE void put_run(const float* x, float scale, std::byte* qs) {
  const float inverse = scale != 0 ? 1.0f / scale : 0.0f;
  folds::store_bytes(nearest_index(lanes::load(x) * inverse) | nearest_index(lanes::load(x + 16) * inverse) << 4, qs);
}

ASSAY_INLINE const float* column(const float* importance, uint64_t at) { return importance == nullptr ? nullptr : importance + at; }

ASSAY_INLINE void iq4_nl(const float* row, const float* importance, uint64_t n, std::byte* out) {
  for (uint64_t b = 0; b < n; b += kRun * kRuns) {
    const int count = static_cast<int>(std::min<uint64_t>(kRuns, (n - b) / kRun));
    Runs<kRun> runs;
    search::load_runs(row + b, column(importance, b), count, runs);
    float fits[kRuns];
    lanes::store(fits, search::store_scale(runs, fit_runs(runs), Nearest{}, kIq4Values[0]));
    for (int k = 0; k < count; ++k, out += 18) {
      store_u16(out, float_to_half(fits[k]));
      put_run(row + b + kRun * k, fits[k], out + 2);
    }
  }
}

// Of a super-block: d, its extreme fit at -32; every lane of a super-block has its own.
ASSAY_INLINE Float16 units_of(Float16 fits) {
  float lane[kRuns];
  lanes::store(lane, fits);
  for (int first = 0; first < kRuns; first += 8) {
    float extreme = 0;
    for (int k = first; k < first + 8; ++k)
      if (std::fabs(lane[k]) > std::fabs(extreme)) extreme = lane[k];
    for (int k = first; k < first + 8; ++k) lane[k] = search::stored_unit(extreme / -32.0f);
  }
  return lanes::load(lane);
}

// Two super-blocks at a time, a run per lane; the last may be alone.
ASSAY_INLINE void iq4_xs(const float* row, const float* importance, uint64_t n, std::byte* out) {
  for (uint64_t b = 0; b < n; b += 512) {
    const int count = n - b < 512 ? 8 : 16;
    Runs<kRun> runs;
    search::load_runs(row + b, column(importance, b), count, runs);
    const Float16 fits = fit_runs(runs), units = units_of(fits);
    const Float16 base = lanes::round(lanes::clamp(fits * search::inverse_of(units), -32, 31));
    Float16 best = base, error = lanes::splat(INFINITY);
    for (int a = -1; a <= 1; ++a) {
      const Float16 s = base + static_cast<float>(a), e = search::error_of(runs, units * s, Nearest{});
      const Float16 in_range = both(above(s, lanes::splat(-33)), above(lanes::splat(32), s)), better = both(in_range, above(error, e));
      best = search::select(better, s, best);
      error = search::select(better, e, error);
    }
    float d[kRuns], scale[kRuns];
    lanes::store(d, units);
    lanes::store(scale, best);
    for (int first = 0; first < count; first += 8, out += 136) {
      unsigned low[4] = {}, high = 0;
      for (int k = 0; k < 8; ++k) {
        const int run = first + k;
        put_run(row + b + kRun * run, d[run] * scale[run], out + 8 + 16 * k);
        const auto raw = static_cast<unsigned>(static_cast<int>(scale[run]) + 32);
        low[k / 2] |= (raw & 15u) << (4 * (k % 2));
        high |= (raw >> 4) << (2 * k);
      }
      store_u16(out, float_to_half(d[first]));
      store_u16(out + 2, static_cast<uint16_t>(high));
      for (int i = 0; i < 4; ++i) out[4 + i] = static_cast<std::byte>(low[i]);
    }
  }
}

#pragma GCC diagnostic pop

}  // namespace

ASSAY_ENCODER(encode_iq4_nl, iq4_nl)
ASSAY_ENCODER(encode_iq4_xs, iq4_xs)

}  // namespace assay
