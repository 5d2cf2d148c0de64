#include "assay/codes/octet_kernels.h"

#include <algorithm>
#include <cmath>

#include "assay/base/simd.h"
#include "assay/codes/strip_steps.h"
#include "assay/quant/grid_scales.h"
#include "assay/quant/scale_layout.h"

namespace assay::codes {
namespace {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"

static_assert(kStep == kOctet);

constexpr int kRefinements = 2;

// The error of an octet's columns is r A r^T with r = target - v; the target is where nothing but these columns could be improved.
struct Metric {
  float a[kOctet][kOctet];
};

ASSAY_INLINE Metric own_metric(const Moments& moments, int begin) {
  Metric metric;
  for (int i = 0; i < kOctet; ++i) std::copy_n(moments.h + (begin + i) * kStride + begin, kOctet, metric.a[i]);
  return metric;
}

// With the columns behind fixed and those before free to make up for it: L D L^T of the octet.
ASSAY_INLINE Metric conditional_metric(const Moments& moments, int begin) {
  Metric metric;
  const float* lower = moments.lower + begin * kStride + begin;
  for (int i = 0; i < kOctet; ++i)
    for (int j = 0; j <= i; ++j) {
      float sum = 0;
      for (int k = 0; k <= j; ++k) sum += lower[i * kStride + k] * lower[j * kStride + k] * moments.diagonal[begin + k];
      metric.a[i][j] = metric.a[j][i] = sum;
    }
  return metric;
}

struct Values {
  Float16 of[kOctet];
};

// An octet of sixteen rows while its codes are chosen.
struct Octet {
  Values v, g;  // g: r A
  Float16 fell{};
  OctetCode code[kRows];
};

float shift_of(const OctetCode& code) { return code.lowered ? -kIq1Shift : kIq1Shift; }

// The codes nearest to `target` under the diagonal of A as weights, in the rows where they lower the error.
ASSAY_INLINE void try_target(const GridFormat& format, const Metric& metric, const Values& target, const float* scale, const float* shift,
                             Octet& octet) {
  alignas(64) float x[kOctet * kLanes], w[kOctet * kLanes];
  for (int j = 0; j < kOctet; ++j) {
    store(x + j * kLanes, target.of[j]);
    store(w + j * kLanes, lanes::splat(metric.a[j][j]));
  }
  ChosenOctets chosen;
  format.choose({x, w, scale, shift}, chosen);
  const Float16 scales = load(scale);
  Values value, step;
  for (int j = 0; j < kOctet; ++j) {
    value.of[j] = scales * load(chosen.level + j * kLanes);
    step.of[j] = value.of[j] - octet.v.of[j];
  }
  Values bent{};
  Float16 gain{};
  for (int j = 0; j < kOctet; ++j) {
    for (int k = 0; k < kOctet; ++k) bent.of[j] += step.of[k] * metric.a[k][j];
    gain += step.of[j] * (octet.g.of[j] + octet.g.of[j] - bent.of[j]);
  }
  for (int j = 0; j < kOctet; ++j) {
    octet.v.of[j] = gain > 0 ? value.of[j] : octet.v.of[j];
    octet.g.of[j] = gain > 0 ? octet.g.of[j] - bent.of[j] : octet.g.of[j];
  }
  octet.fell += gain > 0 ? gain : Float16{};
  for (int lane = 0; lane < kRows; ++lane)
    if (gain[lane] > 0) octet.code[lane] = chosen.code[lane];
}

// Proposals: the codes nearest to the target, weighed by A's diagonal; then those nearest to where each column would go on its own from the
// codes at hand, all together.
ASSAY_INLINE void choose_octet(const GridFormat& format, const Metric& metric, const Values& target, const float* scale, const float* shift,
                               Octet& octet) {
  alignas(64) float other[kRows];
  try_target(format, metric, target, scale, shift, octet);
  if (format.shifts == Shifts::kPerOctet) {
    store(other, -load(shift));
    try_target(format, metric, target, scale, other, octet);
    for (int lane = 0; lane < kRows; ++lane) other[lane] = shift_of(octet.code[lane]);
    shift = other;
  }
  for (int round = 0; round < kRefinements; ++round) {
    Values near;
    for (int j = 0; j < kOctet; ++j) near.of[j] = octet.v.of[j] + octet.g.of[j] / metric.a[j][j];
    try_target(format, metric, near, scale, shift, octet);
  }
}

// Scales and shifts of an octet.
struct RunValues {
  alignas(64) float scale[kRows], shift[kRows];
};

// Codes and values of the octet that begins at column `begin`; returns its scales and shifts.
ASSAY_INLINE RunValues load_octet(const GridFormat& format, SuperBlocks blocks, const Strip& strip, int begin, Octet& octet) {
  RunValues run;
  for (int lane = 0; lane < kRows; ++lane) {
    const GridBlock& block = blocks[static_cast<size_t>(lane)];
    octet.code[lane] = block.codes[begin / kOctet];
    run.scale[lane] = run_scale(format, block, begin / format.run);
    run.shift[lane] = shift_of(octet.code[lane]);
  }
  for (int j = 0; j < kOctet; ++j) octet.v.of[j] = load(strip.v[begin + j]);
  return run;
}

ASSAY_INLINE void store_octet(const Octet& octet, int begin, SuperBlocks blocks, Strip& strip) {
  for (int lane = 0; lane < kRows; ++lane) blocks[static_cast<size_t>(lane)].codes[begin / kOctet] = octet.code[lane];
  for (int j = 0; j < kOctet; ++j) store(strip.v[begin + j], octet.v.of[j]);
}

ASSAY_INLINE void feedback_body(const GridFormat& format, const Moments& moments, SuperBlocks blocks, Strip& strip) {
  const auto choose = [&](int begin) __attribute__((always_inline)) {
    Octet octet;
    const RunValues run = load_octet(format, blocks, strip, begin, octet);
    const Metric metric = conditional_metric(moments, begin);
    // What is carried over, as errors of these columns that would come to the same: carried = y L.
    Values target, r;
    for (int j = kOctet - 1; j >= 0; --j) {
      Float16 y = load(strip.g[begin + j]);
      for (int i = j + 1; i < kOctet; ++i) y -= target.of[i] * moments.lower[(begin + i) * kStride + begin + j];
      target.of[j] = y;
    }
    octet.g = {};
    for (int j = 0; j < kOctet; ++j) {
      target.of[j] += load(strip.x[begin + j]);
      r.of[j] = target.of[j] - octet.v.of[j];
    }
    for (int j = 0; j < kOctet; ++j)
      for (int k = 0; k < kOctet; ++k) octet.g.of[j] += r.of[k] * metric.a[k][j];
    choose_octet(format, metric, target, run.scale, run.shift, octet);
    store_octet(octet, begin, blocks, strip);
  };
  walk_back(moments, strip, choose, [&](int j, Float16) __attribute__((always_inline)) { return load(strip.v[j]); });
}

// A x = g, A positive definite, by Cholesky's L L^T.
ASSAY_INLINE Values solved(const Metric& metric, const Values& g) {
  float lower[kOctet][kOctet], inverse[kOctet];
  for (int j = 0; j < kOctet; ++j)
    for (int i = j; i < kOctet; ++i) {
      float sum = metric.a[i][j];
      for (int k = 0; k < j; ++k) sum -= lower[i][k] * lower[j][k];
      if (i == j) inverse[j] = sum > 0 ? 1 / std::sqrt(sum) : 0;  // 0: too near to singular; the column then stays
      lower[i][j] = sum * inverse[j];
    }
  Values x;
  for (int i = 0; i < kOctet; ++i) {
    Float16 sum = g.of[i];
    for (int k = 0; k < i; ++k) sum -= lower[i][k] * x.of[k];
    x.of[i] = sum * inverse[i];
  }
  for (int i = kOctet - 1; i >= 0; --i) {
    Float16 sum = x.of[i];
    for (int k = i + 1; k < kOctet; ++k) sum -= lower[k][i] * x.of[k];
    x.of[i] = sum * inverse[i];
  }
  return x;
}

ASSAY_INLINE void descend_codes_body(const GridFormat& format, const Moments& moments, SuperBlocks blocks, Strip& strip) {
  Float16 fell{};
  for (int begin = 0; begin < moments.columns; begin += kOctet) {
    Octet octet;
    const RunValues run = load_octet(format, blocks, strip, begin, octet);
    const Metric metric = own_metric(moments, begin);
    const Values old = octet.v;
    for (int j = 0; j < kOctet; ++j) octet.g.of[j] = load(strip.g[begin + j]);
    Values target = solved(metric, octet.g);
    for (int j = 0; j < kOctet; ++j) target.of[j] += octet.v.of[j];
    choose_octet(format, metric, target, run.scale, run.shift, octet);
    fell += octet.fell;
    Float16 change[kOctet];
    for (int j = 0; j < kOctet; ++j) change[j] = old.of[j] - octet.v.of[j];
    if (all_zero(change)) continue;
    store_octet(octet, begin, blocks, strip);
    add_rows(strip, moments.h + begin * kStride, 0, moments.columns, change);
  }
  store(strip.error, load(strip.error) + fell);
}

// One lane's number of every super-block.
template <class Get>
ASSAY_INLINE Float16 gathered(SuperBlocks blocks, const Get& get) {
  Float16 values;
  for (int lane = 0; lane < kRows; ++lane) values[lane] = get(blocks[static_cast<size_t>(lane)]);
  return values;
}

ASSAY_INLINE void descend_scales_body(const GridFormat& format, const Moments& moments, SuperBlocks blocks, Strip& strip) {
  Float16 fell{};
  Float16 direction[kColumns];
  const float top = static_cast<float>(2 * format.top + 1);
  for (int begin = 0; begin < moments.columns; begin += format.run) {
    const int run = begin / format.run, end = begin + format.run;
    // The scale is a unit times an odd number.
    const Float16 odd = gathered(blocks, [&](const GridBlock& block) { return static_cast<float>(2 * block.levels[run] + 1); });
    for (int i = begin; i < end; ++i) direction[i] = load(strip.v[i]) / odd;
    const Float16 scaled = descend_parameter(moments, strip, begin, end, odd, fell, direction, [&](float wanted) {
      return 2 * std::nearbyint(0.5f * (std::clamp(wanted, 1.0f, top) - 1)) + 1;
    });
    for (int lane = 0; lane < kRows; ++lane)
      blocks[static_cast<size_t>(lane)].levels[run] = static_cast<uint8_t>(0.5f * (scaled[lane] - 1));
    if (format.shifts != Shifts::kPerRun) continue;
    const int first = begin / kOctet;
    const Float16 shift = gathered(blocks, [&](const GridBlock& block) { return shift_of(block.codes[first]); });
    const Float16 scale = gathered(blocks, [&](const GridBlock& block) { return run_scale(format, block, run); });
    for (int i = begin; i < end; ++i) direction[i] = scale;
    const Float16 shifted = descend_parameter(moments, strip, begin, end, shift, fell, direction,
                                              [](float wanted) { return wanted < 0 ? -kIq1Shift : kIq1Shift; });
    for (int lane = 0; lane < kRows; ++lane)
      for (int o = first; o < end / kOctet; ++o) blocks[static_cast<size_t>(lane)].codes[o].lowered = shifted[lane] < 0;
  }
  const Float16 d = gathered(blocks, [](const GridBlock& block) { return block.d; });
  for (int i = 0; i < moments.columns; ++i) direction[i] = d > 0 ? load(strip.v[i]) / d : Float16{};
  const Float16 scaled = descend_parameter(moments, strip, 0, moments.columns, d, fell, direction,
                                           [](float wanted) { return nearest_unit(UnitForm::kHalf, std::max(wanted, 0.0f)); });
  for (int lane = 0; lane < kRows; ++lane) blocks[static_cast<size_t>(lane)].d = scaled[lane];
  store(strip.error, load(strip.error) + fell);
}

#pragma GCC diagnostic pop

}  // namespace

ASSAY_KERNEL(void, feedback, feedback_body, (const GridFormat& format, const Moments& moments, SuperBlocks blocks, Strip& strip),
             (format, moments, blocks, strip))
ASSAY_KERNEL(void, descend_codes, descend_codes_body, (const GridFormat& format, const Moments& moments, SuperBlocks blocks, Strip& strip),
             (format, moments, blocks, strip))
ASSAY_KERNEL(void, descend_scales, descend_scales_body,
             (const GridFormat& format, const Moments& moments, SuperBlocks blocks, Strip& strip), (format, moments, blocks, strip))

}  // namespace assay::codes
