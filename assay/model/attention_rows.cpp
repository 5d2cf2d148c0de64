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

template <class Body>
void PackedKeys::for_each_pass(const float* q, int64_t q_stride, const Body& body) {
  const int64_t d = shape_.head_dim;
  const float scale = 1.0f / std::sqrt(static_cast<float>(d));
  queries_.resize(static_cast<size_t>(kQueries * d));
  scores_.resize(static_cast<size_t>(kQueries * room_));
  inverse_.resize(kQueries);
  for (int64_t begin = 0; begin < shape_.queries; begin += kQueries) {
    const Pass pass{begin, std::min(kQueries, shape_.queries - begin), keys_of(shape_, begin, std::min(kQueries, shape_.queries - begin))};
    const int64_t from = pass.range.from, keys = pass.range.count;
    for (int64_t r = 0; r < pass.count; ++r)
      for (int64_t i = 0; i < d; ++i) queries_[static_cast<size_t>(r * d + i)] = q[(begin + r) * q_stride + i] * scale;
    for (int64_t key = 0; key < keys; key += panel::kOutputs)
      panel::multiply_float32({pass.count, d, keys}, queries_.data(), keys_.data() + (from + key) * d, panel::kOutputs,
                              scores_.data() + key);
    for (int64_t r = 0; r < pass.count; ++r)
      inverse_[static_cast<size_t>(r)] = 1.0f / exponentials(shape_, pass.range, begin + r, scores_.data() + r * keys);
    body(pass);
  }
}

void PackedKeys::context(const Pass& pass, float* out, int64_t out_stride) const {
  const int64_t d = shape_.head_dim;
  for (int64_t first = 0; first < d; first += panel::kOutputs)
    panel::multiply_float32({pass.count, pass.range.count, out_stride}, scores_.data(),
                            values_.data() + first * room_ + pass.range.from * panel::kOutputs, std::min(panel::kOutputs, d - first),
                            out + first);
  for (int64_t r = 0; r < pass.count; ++r)
    for (int64_t i = 0; i < d; ++i) out[r * out_stride + i] *= inverse_[static_cast<size_t>(r)];
}

// The values of the k largest weights, weighted, in the order of the keys: whatever other k are asked for.
void PackedKeys::keep_largest(const Pass& pass, int k, float* out, int64_t out_stride) {
  const int64_t d = shape_.head_dim, keys = pass.range.count;
  for (int64_t r = 0; r < pass.count; ++r) {
    const float* weights = scores_.data() + r * keys;
    find_largest(weights, keys, k, places_);
    std::sort(places_.begin(), places_.end());
    float sum = 0;
    float* to = out + r * out_stride;
    std::fill(to, to + d, 0.0f);
    for (const int64_t place : places_) {
      const float weight = weights[place];
      sum += weight;
      for (int64_t first = 0; first < d; first += panel::kOutputs) {
        const float* value = values_.data() + first * room_ + (pass.range.from + place) * panel::kOutputs;
        for (int64_t i = 0; i < std::min(panel::kOutputs, d - first); ++i) to[first + i] += weight * value[i];
      }
    }
    for (int64_t i = 0; i < d; ++i) to[i] /= sum;
  }
}

// out = top + (residual B^T) B with B [k, head_dim].
void PackedKeys::project(const Pass& pass, const HeadRule& rule, float* out, int64_t out_stride) {
  const int64_t d = shape_.head_dim, rank = std::min<int64_t>(rule.k, static_cast<int64_t>(rule.basis->size()) / d);
  const float* basis = rule.basis->data();
  along_.resize(static_cast<size_t>(kQueries * rank));
  basis_.resize(static_cast<size_t>(d * panel::kOutputs));
  for (int64_t first = 0; first < rank; first += panel::kOutputs) {
    const int64_t width = std::min(panel::kOutputs, rank - first);
    panel::pack_float32(basis + first * d, d, width, basis_.data());
    panel::multiply_float32({pass.count, d, rank}, residual_.data(), basis_.data(), width, along_.data() + first);
  }
  for (int64_t r = 0; r < pass.count; ++r) std::copy_n(top_.data() + r * d, d, out + r * out_stride);
  for (int64_t first = 0; first < d; first += panel::kOutputs) {
    panel::Rows rows{pass.count, rank, out_stride};
    rows.addend = out + first;
    rows.addend_stride = out_stride;
    panel::multiply_stored(rows, along_.data(), basis + first, d, std::min(panel::kOutputs, d - first), out + first);
  }
}

void PackedKeys::attend(const float* q, int64_t q_stride, std::span<const RuledOutput> outputs, int64_t out_stride) {
  using Kind = HeadRule::Kind;
  const int64_t d = shape_.head_dim;
  const auto kind_of = [](const RuledOutput& one) { return one.rule == nullptr ? Kind::kFull : one.rule->kind; };
  const auto any = [&](Kind kind) {
    return std::any_of(outputs.begin(), outputs.end(), [&](const RuledOutput& one) { return kind_of(one) == kind; });
  };
  const bool projected = any(Kind::kLowRank), top_wanted = projected || any(Kind::kTop1);
  const auto plain = std::find_if(outputs.begin(), outputs.end(), [&](const RuledOutput& one) { return kind_of(one) == Kind::kFull; });
  top_.resize(static_cast<size_t>(kQueries * d));
  context_.resize(projected ? static_cast<size_t>(kQueries * d) : 0);
  residual_.resize(context_.size());
  for_each_pass(q, q_stride, [&](const Pass& pass) {
    const int64_t at = pass.begin * out_stride, keys = pass.range.count;
    if (top_wanted)
      for (int64_t r = 0; r < pass.count; ++r)
        copy_value(pass.range.from + index_of_largest(scores_.data() + r * keys, keys), top_.data() + r * d);
    if (plain != outputs.end()) context(pass, plain->out + at, out_stride);
    if (projected) {
      if (plain == outputs.end()) context(pass, context_.data(), d);
      for (int64_t r = 0; r < pass.count; ++r) {
        const float* own = plain == outputs.end() ? context_.data() + r * d : plain->out + at + r * out_stride;
        for (int64_t i = 0; i < d; ++i) residual_[static_cast<size_t>(r * d + i)] = own[i] - top_[static_cast<size_t>(r * d + i)];
      }
    }
    for (const RuledOutput& one : outputs) {
      float* out = one.out + at;
      switch (kind_of(one)) {
        case Kind::kFull:
          for (int64_t r = 0; r < pass.count && one.out != plain->out; ++r)
            std::copy_n(plain->out + at + r * out_stride, d, out + r * out_stride);
          break;
        case Kind::kTop1:
          for (int64_t r = 0; r < pass.count; ++r) std::copy_n(top_.data() + r * d, d, out + r * out_stride);
          break;
        case Kind::kTopK:
          keep_largest(pass, one.rule->k, out, out_stride);
          break;
        case Kind::kLowRank:
          project(pass, *one.rule, out, out_stride);
          break;
      }
    }
  });
}

void PackedKeys::inspect(const float* q, int64_t q_stride, const HeadFacts& facts) {
  const int64_t d = shape_.head_dim;
  top_.resize(static_cast<size_t>(d));
  for_each_pass(q, q_stride, [&](const Pass& pass) {
    const int64_t keys = pass.range.count;
    if (facts.context != nullptr) context(pass, facts.context + pass.begin * facts.stride, facts.stride);
    for (int64_t r = 0; r < pass.count; ++r) {
      const int64_t query = pass.begin + r;
      const float* weights = scores_.data() + r * keys;
      find_largest(weights, keys, 2, places_);
      if (facts.top != nullptr) facts.top[query] = static_cast<int32_t>(pass.range.from + places_[0]);
      if (facts.largest != nullptr) facts.largest[query] = weights[places_[0]] * inverse_[static_cast<size_t>(r)];
      if (facts.second != nullptr) facts.second[query] = places_.size() > 1 ? weights[places_[1]] * inverse_[static_cast<size_t>(r)] : 0;
      if (facts.residual == nullptr || facts.context == nullptr) continue;
      copy_value(pass.range.from + places_[0], top_.data());
      const float* own = facts.context + query * facts.stride;
      for (int64_t i = 0; i < d; ++i) facts.residual[query * facts.stride + i] = own[i] - top_[static_cast<size_t>(i)];
    }
  });
}

}  // namespace assay
