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

std::vector<at::Tensor> attend_by_rules(const Hyper& hyper, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                        int64_t query_begin, std::span<const AttentionRules* const> rules) {
  const int64_t queries = q.size(1), tokens = k.size(1), d = hyper.head_dim;
  const int64_t shared = hyper.heads / hyper.kv_heads, window = hyper.sliding_window < tokens ? hyper.sliding_window : 0;
  const at::Tensor mask = causal_mask(query_begin, queries, tokens, window, q.options());
  std::vector<at::Tensor> outputs;
  for (size_t i = 0; i < rules.size(); ++i) outputs.push_back(at::empty({q.size(0), queries, hyper.heads, d}, q.options()));
  for (int64_t sequence = 0; sequence < q.size(0); ++sequence)
    for (int64_t head = 0; head < hyper.heads; ++head) {
      const at::Tensor keys = k[sequence].select(1, head / shared), values = v[sequence].select(1, head / shared);
      const at::Tensor scores = q[sequence].select(1, head).matmul(keys.t()).div(std::sqrt(static_cast<double>(d))).add(mask);
      const at::Tensor p = scores.softmax(-1), context = p.matmul(values), top = values.index_select(0, p.argmax(-1));
      for (size_t i = 0; i < rules.size(); ++i) {
        const HeadRule rule = rules[i] == nullptr ? HeadRule{} : (*rules[i])[static_cast<size_t>(head)];
        at::Tensor out = context;
        if (rule.kind == HeadRule::Kind::kTop1) out = top;
        if (rule.kind == HeadRule::Kind::kTopK) {
          const auto [largest, at] = p.topk(std::min<int64_t>(rule.k, tokens), -1);
          const at::Tensor kept = at::zeros_like(p).scatter(-1, at, largest);
          out = (kept / kept.sum(-1, true)).matmul(values);
        }
        if (rule.kind == HeadRule::Kind::kLowRank) {
          const at::Tensor basis = at::tensor(*rule.basis, q.options()).view({-1, d});
          const at::Tensor used = basis.narrow(0, 0, std::min<int64_t>(rule.k, basis.size(0)));
          out = top + (context - top).matmul(used.t()).matmul(used);
        }
        outputs[i][sequence].select(1, head).copy_(out);
      }
    }
  for (at::Tensor& out : outputs) out = out.view({q.size(0) * queries, int64_t{hyper.heads} * d});
  return outputs;
}

namespace {

// Calls body(keys, sequence, head) for every query head with its packed keys and values, spread over threads: a task packs one head's
// keys and values for all query heads that share them; with few tasks, one per query head packs them again.
template <class Body>
void for_each_head(const Hyper& hyper, const at::Tensor& k, const at::Tensor& v, const AttentionShape& shape, const Body& body) {
  const int64_t sequences = k.size(0), tokens = k.size(1), heads = hyper.heads, kv_heads = hyper.kv_heads, d = hyper.head_dim;
  const int64_t shared = heads / kv_heads, heads_per_task = sequences * kv_heads >= 2 * at::get_num_threads() ? shared : 1;
  const float* k_data = k.const_data_ptr<float>();
  const float* v_data = v.const_data_ptr<float>();
  at::parallel_for(0, sequences * heads / heads_per_task, 1, [&](int64_t begin, int64_t end) {
    PackedKeys keys;
    for (int64_t task = begin; task < end; ++task) {
      const int64_t first_head = task * heads_per_task % heads, sequence = task * heads_per_task / heads;
      const int64_t kv_at = (sequence * tokens * kv_heads + first_head / shared) * d;
      keys.pack(shape, k_data + kv_at, v_data + kv_at, kv_heads * d);
      for (int64_t head = first_head; head < first_head + heads_per_task; ++head) body(keys, sequence, head);
    }
  });
}

AttentionShape shape_of(const Hyper& hyper, int64_t tokens, int64_t query_begin, int64_t queries) {
  return {tokens, hyper.head_dim, query_begin, queries, hyper.sliding_window < tokens ? hyper.sliding_window : 0};
}

}  // namespace

at::Tensor attend_fast(const Hyper& hyper, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t query_begin,
                       const AttentionRules* rules) {
  if (rules == nullptr && (!q.is_cpu() || !panel::float32_supported())) return attend(hyper, q, k, v, query_begin);
  return attend_under(hyper, q, k, v, query_begin, std::span(&rules, 1))[0];
}

std::vector<at::Tensor> attend_under(const Hyper& hyper, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t query_begin,
                                     std::span<const AttentionRules* const> rules) {
  if (!q.is_cpu() || !panel::float32_supported()) return attend_by_rules(hyper, q, k, v, query_begin, rules);
  const int64_t sequences = q.size(0), queries = q.size(1), heads = hyper.heads, d = hyper.head_dim;
  const at::Tensor q_rows = q.contiguous(), k_rows = k.contiguous(), v_rows = v.contiguous();
  const float* q_data = q_rows.const_data_ptr<float>();
  std::vector<at::Tensor> outputs;
  std::vector<float*> data;
  for (size_t i = 0; i < rules.size(); ++i) {
    outputs.push_back(at::empty({sequences * queries, heads * d}, q.options()));
    data.push_back(outputs.back().mutable_data_ptr<float>());
  }
  for_each_head(hyper, k_rows, v_rows, shape_of(hyper, k.size(1), query_begin, queries),
                [&](PackedKeys& keys, int64_t sequence, int64_t head) {
                  const int64_t at = (sequence * queries * heads + head) * d;
                  std::vector<RuledOutput> ruled(rules.size());
                  for (size_t i = 0; i < ruled.size(); ++i)
                    ruled[i] = {rules[i] == nullptr ? nullptr : &(*rules[i])[static_cast<size_t>(head)], data[i] + at};
                  keys.attend(q_data + at, heads * d, ruled, heads * d);
                });
  return outputs;
}

AttentionFacts inspect_attention(const Hyper& hyper, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool with_context) {
  const int64_t sequences = q.size(0), tokens = q.size(1), heads = hyper.heads, d = hyper.head_dim;
  const at::Tensor q_rows = q.to(at::kCPU).contiguous(), k_rows = k.to(at::kCPU).contiguous(), v_rows = v.to(at::kCPU).contiguous();
  AttentionFacts facts;
  facts.top = at::empty({sequences, heads, tokens}, at::kInt);
  facts.largest = at::empty({sequences, heads, tokens});
  facts.second = at::zeros({sequences, heads, tokens});
  if (with_context) facts.context = at::empty({sequences * tokens, heads * d});
  if (with_context) facts.residual = at::empty({sequences * tokens, heads * d});
  if (!panel::float32_supported()) {
    const int64_t shared = heads / hyper.kv_heads, window = hyper.sliding_window < tokens ? hyper.sliding_window : 0;
    const at::Tensor mask = causal_mask(0, tokens, tokens, window, q_rows.options());
    for (int64_t s = 0; s < sequences; ++s)
      for (int64_t head = 0; head < heads; ++head) {
        const at::Tensor keys = k_rows[s].select(1, head / shared), values = v_rows[s].select(1, head / shared);
        const at::Tensor p = q_rows[s].select(1, head).matmul(keys.t()).div(std::sqrt(static_cast<double>(d))).add(mask).softmax(-1);
        const auto [weights, places] = p.topk(std::min<int64_t>(2, tokens), -1);
        const at::Tensor top = p.argmax(-1);
        facts.top[s][head].copy_(top);
        facts.largest[s][head].copy_(weights.select(1, 0));
        if (tokens > 1) facts.second[s][head].copy_(weights.select(1, 1));
        if (!with_context) continue;
        const at::Tensor context = p.matmul(values);
        const auto part = [&](at::Tensor& all) { return all.view({sequences, tokens, heads, d})[s].select(1, head); };
        part(facts.context).copy_(context);
        part(facts.residual).copy_(context - values.index_select(0, top));
      }
    return facts;
  }
  const float* q_data = q_rows.const_data_ptr<float>();
  int32_t* top = facts.top.mutable_data_ptr<int32_t>();
  float* largest = facts.largest.mutable_data_ptr<float>();
  float* second = facts.second.mutable_data_ptr<float>();
  float* context = with_context ? facts.context.mutable_data_ptr<float>() : nullptr;
  float* residual = with_context ? facts.residual.mutable_data_ptr<float>() : nullptr;
  for_each_head(hyper, k_rows, v_rows, shape_of(hyper, tokens, 0, tokens), [&](PackedKeys& keys, int64_t sequence, int64_t head) {
    const int64_t at = (sequence * tokens * heads + head) * d, row = (sequence * heads + head) * tokens;
    HeadFacts of{top + row, largest + row, second + row, nullptr, nullptr, heads * d};
    if (with_context) of.context = context + at;
    if (with_context) of.residual = residual + at;
    keys.inspect(q_data + at, heads * d, of);
  });
  return facts;
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
