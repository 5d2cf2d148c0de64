#include "assay/probe/head_kernels.h"

#include <cmath>

#include "assay/base/lanes.h"

namespace assay {
namespace {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"

using lanes::Float16;
using lanes::Int16;

constexpr size_t kWidth = 16;
constexpr size_t kVectorsPerSum = 64;    // float32 partial sums this long, then double
constexpr float kPad = -1e30f;           // stands for "no logit"
constexpr float kDeepest = -80.0f;       // nats under the top: a weight below counts as 0
constexpr float kLargestRise = 16.0f;    // above it w e^u is computed as e^(z~ - top), so that a weight of 0 does no harm
constexpr double kLargestExponent = 80;  // e^x still far from float32's limit

// Sixteen values from `at`, the missing ones of the last vector replaced.
ASSAY_INLINE Float16 load_some(const float* at, size_t count, float pad) {
  if (count >= kWidth) return lanes::load(at);
  float values[kWidth];
  for (size_t i = 0; i < kWidth; ++i) values[i] = i < count ? at[i] : pad;
  return lanes::load(values);
}

ASSAY_INLINE void store_some(float* at, size_t count, Float16 value) {
  if (count >= kWidth) {
    lanes::store(at, value);
  } else {
    for (size_t i = 0; i < count; ++i) at[i] = value[i];
  }
}

struct TopTwo {
  float top = kPad, second = kPad;
  int32_t argmax = 0;
};

// The two largest values of each lane and where the first stood; ties keep the earlier.
struct LaneTops {
  Float16 top = lanes::splat(kPad), second = lanes::splat(kPad);
  Int16 vector = {};

  ASSAY_INLINE void add(Float16 value, int32_t index) {
    second = lanes::maximum(second, lanes::minimum(top, value));
    vector = value > top ? Int16{} + index : vector;
    top = lanes::maximum(top, value);
  }

  ASSAY_INLINE TopTwo reduce() const {
    TopTwo best;
    for (size_t lane = 0; lane < kWidth; ++lane) {
      const float a = top[lane], b = second[lane];
      const int32_t at = vector[lane] * static_cast<int32_t>(kWidth) + static_cast<int32_t>(lane);
      const float loser = a < best.top ? a : best.top;
      best.second = best.second > loser ? best.second : loser;
      best.second = best.second > b ? best.second : b;
      if (a > best.top || (a == best.top && at < best.argmax)) best.argmax = at;
      best.top = best.top > a ? best.top : a;
    }
    return best;
  }
};

struct RowScan {
  TopTwo two;
  bool finite = true;
};

ASSAY_INLINE RowScan scan(const float* z, size_t n) {
  LaneTops tops;
  Float16 zero{};  // stays 0 unless a value is NaN or infinite
  for (size_t i = 0; i < n; i += kWidth) {
    const Float16 v = load_some(z + i, n - i, kPad);
    tops.add(v, static_cast<int32_t>(i / kWidth));
    zero += v * 0.0f;
  }
  RowScan result;
  result.two = tops.reduce();
  result.finite = lanes::sum(zero) == 0.0f && result.two.top > kPad;
  return result;
}

ASSAY_INLINE double sum_exp(const float* z, size_t n, float top) {
  double total = 0;
  for (size_t i = 0; i < n;) {
    Float16 part{};
    for (size_t v = 0; v < kVectorsPerSum && i < n; ++v, i += kWidth) part += lanes::exp(load_some(z + i, n - i, kPad) - top);
    total += static_cast<double>(lanes::sum(part));
  }
  return total;
}

// A first look at the change u of a row: its weighted sum, its largest rise, the variant's two best tokens.
struct RowChange {
  TopTwo two;
  double weighted = 0;
  float rise = 0;
};

ASSAY_INLINE RowChange look(const float* weights, const float* base, const float* variant, size_t n) {
  RowChange change;
  LaneTops tops;
  Float16 rise = lanes::splat(kPad);
  for (size_t i = 0; i < n;) {
    Float16 part{};
    for (size_t v = 0; v < kVectorsPerSum && i < n; ++v, i += kWidth) {
      const Float16 z = load_some(variant + i, n - i, kPad);
      const Float16 u = z - load_some(base + i, n - i, 0);
      tops.add(z, static_cast<int32_t>(i / kWidth));
      rise = lanes::maximum(rise, u);
      part += load_some(weights + i, n - i, 0) * u;
    }
    change.weighted += static_cast<double>(lanes::sum(part));
  }
  for (size_t lane = 0; lane < kWidth; ++lane) change.rise = lane == 0 || rise[lane] > change.rise ? rise[lane] : change.rise;
  change.two = tops.reduce();
  return change;
}

// Sum of w (e^x - 1 - x), x = u - center.
ASSAY_INLINE double excess(const float* weights, const float* base, const float* variant, size_t n, float center) {
  double total = 0;
  for (size_t i = 0; i < n;) {
    Float16 part{};
    for (size_t v = 0; v < kVectorsPerSum && i < n; ++v, i += kWidth) {
      const Float16 x = (load_some(variant + i, n - i, kPad) - load_some(base + i, n - i, 0)) - center;
      part += load_some(weights + i, n - i, 0) * lanes::exp_excess(x);
    }
    total += static_cast<double>(lanes::sum(part));
  }
  return total;
}

// The same where some x is large: there w e^x = e^(z~ - top - center), which also counts tokens whose weight is 0.
ASSAY_INLINE double excess_of_large_rise(const float* weights, const float* base, const float* variant, size_t n, float center, float top) {
  double total = 0;
  for (size_t i = 0; i < n; i += kWidth) {
    const Float16 z = load_some(variant + i, n - i, kPad);
    const Float16 w = load_some(weights + i, n - i, 0);
    const Float16 x = (z - load_some(base + i, n - i, 0)) - center;
    const Float16 large = lanes::exp((z - top) - center) - w * (1.0f + x);
    total += static_cast<double>(lanes::sum(x > kLargestRise ? large : w * lanes::exp_excess(x)));
  }
  return total;
}

#pragma GCC diagnostic pop

}  // namespace

ASSAY_CLONES void prepare_base(std::span<const float> logits, RowBase& row, float* weights) {
  const size_t n = logits.size();
  const float* z = logits.data();
  const RowScan seen = scan(z, n);
  row.top = seen.two.top;
  row.second = seen.two.second;
  row.argmax = seen.two.argmax;
  row.finite = seen.finite;
  row.mass = 0;
  for (size_t i = 0; i < n;) {
    Float16 part{};
    for (size_t v = 0; v < kVectorsPerSum && i < n; ++v, i += kWidth) {
      const Float16 depth = load_some(z + i, n - i, kPad) - row.top;
      const Float16 w = depth < kDeepest ? Float16{} : lanes::exp(depth);
      store_some(weights + i, n - i, w);
      part += w;
    }
    row.mass += static_cast<double>(lanes::sum(part));
  }
  row.log_sum_exp = static_cast<double>(row.top) + std::log(row.mass);
}

ASSAY_CLONES PositionObservation compare(const RowBase& base, const float* base_logits, const float* weights, const float* variant_logits,
                                         size_t vocab, int32_t label) {
  PositionObservation out;
  const RowChange change = look(weights, base_logits, variant_logits, vocab);
  const double mean = change.weighted / base.mass;
  out.finite = base.finite && std::isfinite(mean) && std::isfinite(change.two.top) && change.two.top > kPad;
  const auto center = static_cast<float>(mean);
  const double rest = mean - static_cast<double>(center);
  double shift = 0;  // log sum exp of the variant minus the base's
  if (change.rise - center <= kLargestRise) {
    const double mean_excess = excess(weights, base_logits, variant_logits, vocab, center) / base.mass;
    out.kl = std::log1p(mean_excess);
    shift = static_cast<double>(center) + std::log1p(mean_excess + rest);
  } else if (static_cast<double>(change.two.top) - static_cast<double>(base.top) - mean < kLargestExponent) {
    const double mean_excess = excess_of_large_rise(weights, base_logits, variant_logits, vocab, center, base.top) / base.mass;
    out.kl = std::log1p(mean_excess);
    shift = static_cast<double>(center) + std::log1p(mean_excess + rest);
  } else {
    shift = static_cast<double>(change.two.top) + std::log(sum_exp(variant_logits, vocab, change.two.top)) - base.log_sum_exp;
    out.kl = shift - mean;
  }
  const auto y = static_cast<size_t>(label);
  out.nll_base = base.log_sum_exp - static_cast<double>(base_logits[y]);
  out.nll_difference = shift - (static_cast<double>(variant_logits[y]) - static_cast<double>(base_logits[y]));
  out.nll = out.nll_base + out.nll_difference;
  out.p_base = static_cast<float>(std::exp(-out.nll_base));
  out.p = static_cast<float>(std::exp(-out.nll));
  out.margin_base = base.top - base.second;
  out.margin = change.two.top - change.two.second;
  out.argmax = change.two.argmax;
  out.flip = out.argmax != base.argmax;
  return out;
}

ASSAY_CLONES double log_softmax_nll(std::span<const float> logits, int32_t label) {
  const RowScan seen = scan(logits.data(), logits.size());
  if (!seen.finite) return std::nan("");
  const double log_sum_exp = static_cast<double>(seen.two.top) + std::log(sum_exp(logits.data(), logits.size(), seen.two.top));
  return log_sum_exp - static_cast<double>(logits[static_cast<size_t>(label)]);
}

}  // namespace assay
