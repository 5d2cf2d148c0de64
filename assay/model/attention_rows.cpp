#include "assay/model/attention_rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "assay/model/panel_product.h"
#include "assay/model/row_math.h"

namespace assay {
namespace {

constexpr int64_t kQueries = 48;  // rows of scores at a time: 96 KiB at 512 tokens

int64_t padded(int64_t tokens) { return panel::panels(tokens) * panel::kOutputs; }

}  // namespace

KeyRange keys_of(const AttentionShape& shape, int64_t query, int64_t queries) {
  const int64_t position = shape.query_begin + query;
  const int64_t lowest = shape.window > 0 ? std::max<int64_t>(0, position - shape.window + 1) : 0;
  const int64_t from = lowest / panel::kOutputs * panel::kOutputs;
  return {from, padded(position + queries) - from};
}

float exponentials(const AttentionShape& shape, const KeyRange& range, int64_t query, float* scores) {
  const int64_t position = shape.query_begin + query;
  const int64_t oldest = shape.window > 0 ? std::max<int64_t>(0, position - shape.window + 1) : 0;
  return row::exponentials(scores, static_cast<size_t>(oldest - range.from), static_cast<size_t>(position + 1 - range.from),
                           static_cast<size_t>(range.count));
}

void pack_tokens(const AttentionShape& shape, const float* x, int64_t stride, std::vector<float>& panels) {
  const int64_t d = shape.head_dim;
  panels.resize(static_cast<size_t>(padded(shape.tokens) * d));
  for (int64_t first = 0; first < shape.tokens; first += panel::kOutputs)
    panel::pack_float32(x + first * stride, d, std::min(panel::kOutputs, shape.tokens - first), panels.data() + first * d, stride);
}

void PackedKeys::pack(const AttentionShape& shape, const float* k, const float* v, int64_t stride, int64_t capacity) {
  shape_ = shape;
  const int64_t d = shape.head_dim;
  room_ = padded(std::max(shape.tokens, capacity));
  pack_tokens(shape, k, stride, keys_);
  keys_.resize(static_cast<size_t>(room_ * d));
  values_.assign(static_cast<size_t>(panel::panels(d) * panel::kOutputs * room_), 0.0f);
  for (int64_t first = 0; first < d; first += panel::kOutputs) {
    const auto width = static_cast<size_t>(std::min(panel::kOutputs, d - first)) * sizeof(float);
    float* to = values_.data() + first * room_;
    for (int64_t t = 0; t < shape.tokens; ++t) std::memcpy(to + t * panel::kOutputs, v + t * stride + first, width);
  }
}

void PackedKeys::append(const AttentionShape& shape, int64_t kept, const float* k, const float* v, int64_t stride) {
  const int64_t d = shape.head_dim;
  // Keys behind the last token are finite, whatever they are: their weights are 0.
  for (int64_t t = kept; t < shape.tokens; ++t) {
    const float *key = k + (t - kept) * stride, *value = v + (t - kept) * stride;
    float* to = keys_.data() + t / panel::kOutputs * panel::kOutputs * d + t % panel::kOutputs;
    for (int64_t i = 0; i < d; ++i) to[i * panel::kOutputs] = key[i];
    for (int64_t first = 0; first < d; first += panel::kOutputs)
      std::copy_n(value + first, std::min(panel::kOutputs, d - first), values_.data() + first * room_ + t * panel::kOutputs);
  }
  shape_ = shape;
}

void PackedKeys::copy_value(int64_t token, float* to) const {
  const int64_t d = shape_.head_dim;
  for (int64_t first = 0; first < d; first += panel::kOutputs)
    std::copy_n(values_.data() + first * room_ + token * panel::kOutputs, std::min(panel::kOutputs, d - first), to + first);
}

void PackedKeys::attend(const float* q, int64_t q_stride, float* out, int64_t out_stride, const HeadRule* rule) {
  const int64_t d = shape_.head_dim;
  const bool one_value = rule != nullptr && (rule->kind == HeadRule::Kind::kTop1 || rule->kind == HeadRule::Kind::kLowRank);
  const float scale = 1.0f / std::sqrt(static_cast<float>(d));
  queries_.resize(static_cast<size_t>(kQueries * d));
  scores_.resize(static_cast<size_t>(kQueries * room_));
  for (int64_t begin = 0; begin < shape_.queries; begin += kQueries) {
    const int64_t count = std::min(kQueries, shape_.queries - begin);
    const KeyRange range = keys_of(shape_, begin, count);
    const int64_t from = range.from, keys = range.count;
    for (int64_t r = 0; r < count; ++r)
      for (int64_t i = 0; i < d; ++i) queries_[static_cast<size_t>(r * d + i)] = q[(begin + r) * q_stride + i] * scale;
    for (int64_t key = 0; key < keys; key += panel::kOutputs)
      panel::multiply_float32({count, d, keys}, queries_.data(), keys_.data() + (from + key) * d, panel::kOutputs, scores_.data() + key);
    float inverse[kQueries];
    for (int64_t r = 0; r < count; ++r) {
      float sum = exponentials(shape_, range, begin + r, scores_.data() + r * keys);
      if (rule != nullptr && rule->kind == HeadRule::Kind::kTopK) sum = keep_largest(scores_.data() + r * keys, keys, rule->k);
      inverse[r] = 1.0f / sum;
    }
    for (int64_t first = 0; first < d; first += panel::kOutputs)
      panel::multiply_float32({count, keys, out_stride}, scores_.data(), values_.data() + first * room_ + from * panel::kOutputs,
                              std::min(panel::kOutputs, d - first), out + begin * out_stride + first);
    for (int64_t r = 0; r < count; ++r)
      for (int64_t i = 0; i < d; ++i) out[(begin + r) * out_stride + i] *= inverse[r];
    if (!one_value) continue;
    std::vector<float> top(static_cast<size_t>(d));
    for (int64_t r = 0; r < count; ++r) {
      copy_value(from + index_of_largest(scores_.data() + r * keys, keys), top.data());
      replace_context(*rule, top.data(), d, out + (begin + r) * out_stride);
    }
  }
}

}  // namespace assay
