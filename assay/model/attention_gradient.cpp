#include "assay/model/attention_gradient.h"

#include <algorithm>
#include <cmath>

#include "assay/model/panel_product.h"
#include "assay/model/row_math.h"
#include "assay/model/row_math_gradient.h"

namespace assay {
namespace {

constexpr int64_t kQueries = 48;  // rows of probabilities and their gradients at a time: 192 KiB at 512 tokens

// y [count, outputs] (+)= x W by panels of 64 outputs.
template <class Product>
void by_panels(const Product& product, panel::Rows rows, bool add, const float* x, const float* w, int64_t w_stride, int64_t outputs,
               float* y) {
  rows.addend_stride = rows.stride;
  for (int64_t first = 0; first < outputs; first += panel::kOutputs) {
    rows.addend = add ? y + first : nullptr;
    product(rows, x, w + first, w_stride, std::min(panel::kOutputs, outputs - first), y + first);
  }
}

}  // namespace

void AttentionGradient::keys(const AttentionShape& shape, const float* k, const float* v, int64_t stride) {
  shape_ = shape;
  k_ = k;
  stride_ = stride;
  pack_tokens(shape, k, stride, keys_);
  pack_tokens(shape, v, stride, values_);
}

void AttentionGradient::backward(const float* q, const float* g, int64_t q_stride, float* gq, float* gk, float* gv) {
  const int64_t d = shape_.head_dim, all = panel::panels(shape_.tokens) * panel::kOutputs;
  const float scale = 1.0f / std::sqrt(static_cast<float>(d));
  queries_.resize(static_cast<size_t>(kQueries * d));
  probabilities_.resize(static_cast<size_t>(kQueries * all));
  gradients_.resize(static_cast<size_t>(kQueries * all));
  float *p = probabilities_.data(), *gp = gradients_.data();
  for (int64_t begin = 0; begin < shape_.queries; begin += kQueries) {
    const int64_t count = std::min(kQueries, shape_.queries - begin);
    const KeyRange range = keys_of(shape_, begin, count);
    const float *some_q = q + begin * q_stride, *some_g = g + begin * q_stride;
    for (int64_t r = 0; r < count; ++r)
      for (int64_t i = 0; i < d; ++i) queries_[static_cast<size_t>(r * d + i)] = some_q[r * q_stride + i] * scale;
    for (int64_t key = 0; key < range.count; key += panel::kOutputs) {
      const int64_t at = (range.from + key) * d;
      panel::multiply_float32({.count = count, .in = d, .stride = range.count}, queries_.data(), keys_.data() + at, panel::kOutputs,
                              p + key);
      panel::multiply_float32({.count = count, .in = d, .stride = range.count, .x_stride = q_stride}, some_g, values_.data() + at,
                              panel::kOutputs, gp + key);
    }
    for (int64_t r = 0; r < count; ++r) {
      const float inverse = 1.0f / exponentials(shape_, range, begin + r, p + r * range.count);
      row::softmax_gradient(p + r * range.count, gp + r * range.count, inverse, scale, static_cast<size_t>(range.count));
    }
    const int64_t seen = std::min(range.count, shape_.tokens - range.from), from = range.from * stride_;  // without the padding
    by_panels(panel::multiply_stored, {.count = count, .in = seen, .stride = q_stride, .x_stride = range.count}, false, gp, k_ + from,
              stride_, d, gq + begin * q_stride);
    const panel::Rows turned{.count = seen, .in = count, .stride = stride_, .x_stride = range.count};
    by_panels(panel::multiply_turned, turned, true, gp, some_q, q_stride, d, gk + from);
    by_panels(panel::multiply_turned, turned, true, p, some_g, q_stride, d, gv + from);
  }
}

}  // namespace assay
