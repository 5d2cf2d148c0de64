#include "assay/probe/head_kernels.h"

#include <cmath>

#include "assay/base/lanes.h"

namespace assay {
namespace {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"

using lanes::Float16;

constexpr size_t kWidth = 16;
constexpr size_t kVectorsPerSum = 64;  // float32 partial sums this long, then double
constexpr float kPad = -1e30f;         // stands for "no logit"

// Sixteen values from `at`, the missing ones of the last vector replaced.
ASSAY_INLINE Float16 load_some(const float* at, size_t count, float pad) {
  if (count >= kWidth) return lanes::load(at);
  float values[kWidth];
  for (size_t i = 0; i < kWidth; ++i) values[i] = i < count ? at[i] : pad;
  return lanes::load(values);
}

struct TopTwo {
  float top, second;
};

ASSAY_INLINE TopTwo top_two(const float* z, size_t n) {
  Float16 top = lanes::splat(kPad), second = top;
  for (size_t i = 0; i < n; i += kWidth) {
    const Float16 v = load_some(z + i, n - i, kPad);
    const Float16 lower = lanes::minimum(top, v);
    second = lanes::maximum(second, lower);
    top = lanes::maximum(top, v);
  }
  TopTwo result{top[0], second[0]};
  for (size_t i = 1; i < kWidth; ++i) {
    const float a = top[i], b = second[i];
    if (a > result.top) {
      result.second = result.top > b ? result.top : b;
      result.top = a;
    } else if (a > result.second) {
      result.second = a;
    }
  }
  return result;
}

ASSAY_INLINE int32_t first_index_of(const float* z, size_t n, float value) {
  size_t i = 0;
  for (; i + kWidth <= n; i += kWidth) {
    const lanes::Int16 equal = lanes::load(z + i) == value;
    int32_t any = 0;
    for (size_t j = 0; j < kWidth; ++j) any |= equal[j];
    if (any != 0) break;
  }
  while (i < n && !(z[i] == value)) ++i;
  return static_cast<int32_t>(i < n ? i : 0);
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

// d + expm1(-d): the series where the direct form would cancel.
ASSAY_INLINE Float16 phi(Float16 d) {
  const Float16 series = d * d * (0.5f + d * (-1.0f / 6 + d * (1.0f / 24 + d * (-1.0f / 120))));
  const Float16 direct = d + (lanes::exp(-d) - 1.0f);
  const Float16 size = d < 0.0f ? -d : d;
  return size < 0.02f ? series : direct;
}

// Sum of p phi((base - variant) - shift).
ASSAY_INLINE double divergence(const float* p, const float* base, const float* variant, size_t n, float shift) {
  double total = 0;
  for (size_t i = 0; i < n;) {
    Float16 part{};
    for (size_t v = 0; v < kVectorsPerSum && i < n; ++v, i += kWidth) {
      const Float16 d = (load_some(base + i, n - i, 0) - load_some(variant + i, n - i, 0)) - shift;
      part += load_some(p + i, n - i, 0) * phi(d);
    }
    total += static_cast<double>(lanes::sum(part));
  }
  return total;
}

#pragma GCC diagnostic pop

}  // namespace

ASSAY_CLONES void prepare_base(std::span<const float> logits, RowBase& row, float* p) {
  const size_t n = logits.size();
  const float* z = logits.data();
  const TopTwo two = top_two(z, n);
  const double sum = sum_exp(z, n, two.top);
  row.top = two.top;
  row.second = two.second;
  row.argmax = first_index_of(z, n, two.top);
  row.log_sum_exp = static_cast<double>(two.top) + std::log(sum);
  row.finite = std::isfinite(row.log_sum_exp) && two.top > kPad;
  const auto inverse = static_cast<float>(1.0 / sum);
  size_t i = 0;
  for (; i + kWidth <= n; i += kWidth) lanes::store(p + i, lanes::exp(lanes::load(z + i) - two.top) * inverse);
  for (; i < n; ++i) p[i] = (lanes::exp(lanes::splat(z[i]) - two.top) * inverse)[0];
}

ASSAY_CLONES PositionObservation compare(const RowBase& base, const float* base_logits, const float* p, const float* variant_logits, size_t vocab,
                                         int32_t label) {
  PositionObservation out;
  const TopTwo two = top_two(variant_logits, vocab);
  const double log_sum_exp = static_cast<double>(two.top) + std::log(sum_exp(variant_logits, vocab, two.top));
  out.finite = std::isfinite(log_sum_exp) && two.top > kPad;
  const double shift = base.log_sum_exp - log_sum_exp;
  out.kl = divergence(p, base_logits, variant_logits, vocab, static_cast<float>(shift));
  const auto y = static_cast<size_t>(label);
  const double z_base = static_cast<double>(base_logits[y]), z = static_cast<double>(variant_logits[y]);
  out.nll_base = base.log_sum_exp - z_base;
  out.nll = log_sum_exp - z;
  out.nll_difference = (z_base - z) - shift;
  out.p_base = static_cast<float>(std::exp(-out.nll_base));
  out.p = static_cast<float>(std::exp(-out.nll));
  out.margin_base = base.top - base.second;
  out.margin = two.top - two.second;
  out.flip = first_index_of(variant_logits, vocab, two.top) != base.argmax;
  return out;
}

ASSAY_CLONES double log_softmax_nll(std::span<const float> logits, int32_t label) {
  const TopTwo two = top_two(logits.data(), logits.size());
  const double log_sum_exp = static_cast<double>(two.top) + std::log(sum_exp(logits.data(), logits.size(), two.top));
  return two.top > kPad ? log_sum_exp - static_cast<double>(logits[static_cast<size_t>(label)]) : std::nan("");
}

}  // namespace assay
