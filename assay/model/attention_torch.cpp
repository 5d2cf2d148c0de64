#include <limits>

#include "assay/model/attention.h"
#include "assay/model/attention_gradient.h"
#include "assay/model/attention_rows.h"
#include "assay/model/panel_product.h"

namespace assay {
namespace {

// [queries, tokens]: 0 where the query may look, -infinity elsewhere.
at::Tensor causal_mask(int64_t query_begin, int64_t queries, int64_t tokens, int64_t window, const at::TensorOptions& options) {
  const at::TensorOptions integers = options.dtype(at::kLong);
  const at::Tensor row = at::arange(query_begin, query_begin + queries, integers).unsqueeze(1);
  const at::Tensor column = at::arange(tokens, integers).unsqueeze(0);
  at::Tensor hidden = column > row;
  if (window > 0) hidden = hidden.logical_or(row - column >= window);
  return at::zeros({queries, tokens}, options).masked_fill_(hidden, -std::numeric_limits<float>::infinity());
}

}  // namespace

at::Tensor attend(const Hyper& hyper, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t query_begin) {
  const int64_t sequences = q.size(0), queries = q.size(1), tokens = k.size(1);
  const int64_t shared = hyper.heads / hyper.kv_heads;
  const int64_t window = hyper.sliding_window < tokens ? hyper.sliding_window : 0;
  const auto by_head = [](const at::Tensor& x, int64_t times) {
    const at::Tensor turned = x.transpose(1, 2);
    return times == 1 ? turned : turned.repeat_interleave(times, 1);
  };
  const bool whole = query_begin == 0 && queries == tokens && window == 0;
  const std::optional<at::Tensor> mask =
      whole ? std::nullopt : std::optional(causal_mask(query_begin, queries, tokens, window, q.options()));
  const at::Tensor out = at::scaled_dot_product_attention(by_head(q, 1), by_head(k, shared), by_head(v, shared), mask, 0.0, whole);
  return out.transpose(1, 2).reshape({sequences * queries, int64_t{hyper.heads} * hyper.head_dim});
}

at::Tensor attend_by_rules(const Hyper& hyper, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t query_begin,
                           const AttentionRules& rules) {
  const int64_t queries = q.size(1), tokens = k.size(1), d = hyper.head_dim;
  const int64_t shared = hyper.heads / hyper.kv_heads, window = hyper.sliding_window < tokens ? hyper.sliding_window : 0;
  const at::Tensor mask = causal_mask(query_begin, queries, tokens, window, q.options());
  at::Tensor out = at::empty({q.size(0), queries, hyper.heads, d}, q.options());
  for (int64_t sequence = 0; sequence < q.size(0); ++sequence)
    for (int64_t head = 0; head < hyper.heads; ++head) {
      const HeadRule& rule = rules[static_cast<size_t>(head)];
      const at::Tensor keys = k[sequence].select(1, head / shared), values = v[sequence].select(1, head / shared);
      const at::Tensor scores = q[sequence].select(1, head).matmul(keys.t()).div(std::sqrt(static_cast<double>(d))).add(mask);
      at::Tensor p = scores.softmax(-1);
      if (rule.kind == HeadRule::Kind::kTopK) {
        const auto [largest, at] = p.topk(std::min<int64_t>(rule.k, tokens), -1);
        p = at::zeros_like(p).scatter(-1, at, largest);
        p = p / p.sum(-1, true);
      }
      at::Tensor context = p.matmul(values);
      const at::Tensor top = values.index_select(0, p.argmax(-1));
      if (rule.kind == HeadRule::Kind::kTop1) context = top;
      if (rule.kind == HeadRule::Kind::kLowRank) {
        const at::Tensor basis = at::tensor(rule.basis, q.options()).view({-1, d});
        context = top + (context - top).matmul(basis.t()).matmul(basis);
      }
      out[sequence].select(1, head).copy_(context);
    }
  return out.view({q.size(0) * queries, int64_t{hyper.heads} * d});
}

at::Tensor attend_fast(const Hyper& hyper, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t query_begin,
                       const AttentionRules* rules) {
  if (!q.is_cpu() || !panel::float32_supported())
    return rules == nullptr ? attend(hyper, q, k, v, query_begin) : attend_by_rules(hyper, q, k, v, query_begin, *rules);
  const int64_t sequences = q.size(0), queries = q.size(1), tokens = k.size(1);
  const int64_t heads = hyper.heads, kv_heads = hyper.kv_heads, d = hyper.head_dim, shared = heads / kv_heads;
  const AttentionShape shape{tokens, d, query_begin, queries, hyper.sliding_window < tokens ? hyper.sliding_window : 0};
  const at::Tensor q_rows = q.contiguous(), k_rows = k.contiguous(), v_rows = v.contiguous();
  at::Tensor out = at::empty({sequences * queries, heads * d}, q.options());
  const float* q_data = q_rows.const_data_ptr<float>();
  const float* k_data = k_rows.const_data_ptr<float>();
  const float* v_data = v_rows.const_data_ptr<float>();
  float* out_data = out.mutable_data_ptr<float>();
  // A task packs one head's keys and values; with few of them, a task per query head packs them again.
  const int64_t heads_per_task = sequences * kv_heads >= 2 * at::get_num_threads() ? shared : 1;
  at::parallel_for(0, sequences * heads / heads_per_task, 1, [&](int64_t begin, int64_t end) {
    PackedKeys keys;
    for (int64_t task = begin; task < end; ++task) {
      const int64_t first_head = task * heads_per_task % heads, sequence = task * heads_per_task / heads;
      const int64_t kv_at = (sequence * tokens * kv_heads + first_head / shared) * d;
      keys.pack(shape, k_data + kv_at, v_data + kv_at, kv_heads * d);
      for (int64_t head = first_head; head < first_head + heads_per_task; ++head) {
        const int64_t at = (sequence * queries * heads + head) * d;
        keys.attend(q_data + at, heads * d, out_data + at, heads * d, rules == nullptr ? nullptr : &(*rules)[static_cast<size_t>(head)]);
      }
    }
  });
  return out;
}

AttentionGradients attend_gradient(const Hyper& hyper, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& g) {
  const int64_t sequences = q.size(0), tokens = q.size(1), heads = hyper.heads, kv_heads = hyper.kv_heads, d = hyper.head_dim;
  const AttentionShape shape{tokens, d, 0, tokens, hyper.sliding_window < tokens ? hyper.sliding_window : 0};
  const at::Tensor q_rows = q.contiguous(), k_rows = k.contiguous(), v_rows = v.contiguous(), g_rows = g.contiguous();
  AttentionGradients out{at::empty_like(q_rows), at::zeros_like(k_rows), at::zeros_like(v_rows)};
  const float* q_data = q_rows.const_data_ptr<float>();
  const float* k_data = k_rows.const_data_ptr<float>();
  const float* v_data = v_rows.const_data_ptr<float>();
  const float* g_data = g_rows.const_data_ptr<float>();
  float* to_q = out.q.mutable_data_ptr<float>();
  float* to_k = out.k.mutable_data_ptr<float>();
  float* to_v = out.v.mutable_data_ptr<float>();
  // A task is a head of keys with all its query heads, whose gradients meet there.
  at::parallel_for(0, sequences * kv_heads, 1, [&](int64_t begin, int64_t end) {
    AttentionGradient gradient;
    for (int64_t task = begin; task < end; ++task) {
      const int64_t sequence = task / kv_heads, kv_head = task % kv_heads, kv_at = (sequence * tokens * kv_heads + kv_head) * d;
      gradient.keys(shape, k_data + kv_at, v_data + kv_at, kv_heads * d);
      for (int64_t head = kv_head * heads / kv_heads; head < (kv_head + 1) * heads / kv_heads; ++head) {
        const int64_t at = (sequence * tokens * heads + head) * d;
        gradient.backward(q_data + at, g_data + at, heads * d, to_q + at, to_k + kv_at, to_v + kv_at);
      }
    }
  });
  return out;
}

}  // namespace assay
