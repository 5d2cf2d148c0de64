// Causal grouped-query attention of whole sequences. Rule of rows (CPU): a sequence's result depends neither on the other sequences
// nor on the threads. Differentiable. Non-goals: a cache of keys and values across calls.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "assay/model/architecture.h"
#include "assay/model/attention_rules.h"
#include "assay/model/token_tree.h"

namespace assay {

// q: [sequences, queries, heads, head_dim], the positions query_begin, query_begin + 1, ... of each sequence; k, v: [sequences, tokens,
// kv_heads, head_dim], all positions -> [sequences * queries, heads * head_dim]. Honours hyper's sliding window.
at::Tensor attend(const Hyper& hyper, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t query_begin);
// The same without gradient, by our own kernels (attention_rows.h) where the CPU has what they need.
// `rules`: null for the model's own.
at::Tensor attend_fast(const Hyper& hyper, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t query_begin,
                       const AttentionRules* rules = nullptr);
// One result for each of `rules`, which share scores, softmax, largest weight and context; each to the bits it has alone.
std::vector<at::Tensor> attend_under(const Hyper& hyper, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t query_begin,
                                     std::span<const AttentionRules* const> rules);
// The same by plain operators, on any device.
std::vector<at::Tensor> attend_by_rules(const Hyper& hyper, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                        int64_t query_begin, std::span<const AttentionRules* const> rules);

// What whole sequences' queries look at, head by head: no matrix of all queries and keys of all heads is ever there.
struct AttentionFacts {
  at::Tensor top;              // int32 [sequences, heads, tokens]: the token with the largest weight, the earliest of equals
  at::Tensor largest, second;  // float32, the same shape: p_1 and p_2
  at::Tensor context;          // [sequences * tokens, heads * head_dim]; undefined unless asked for
  at::Tensor residual;         // context - V_top, the same shape
};
AttentionFacts inspect_attention(const Hyper& hyper, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool with_context);
// The same over packed trees (token_tree.h), each branch after its stem: q [rows, heads, head_dim], all rows or the wanted ones; k, v
// [rows, kv_heads, head_dim], all. A stem's keys are laid out once for all its branches. Bit for bit what attend_fast() gives of stem and
// branch as a sequence, where that has our own kernels.
at::Tensor attend_trees(const Hyper& hyper, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::span<const TokenTree> trees,
                        bool wanted);

// Gradients at q, k and v of attend() over whole sequences (all positions, shapes as there) from g at its result, by our own kernels.
struct AttentionGradients {
  at::Tensor q, k, v;
};
AttentionGradients attend_gradient(const Hyper& hyper, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& g);

}  // namespace assay
