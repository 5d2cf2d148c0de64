#include "assay/model/block_weights.h"

#include <ATen/ops/scaled_dot_product_attention.h>

#include "assay/model/row_kernels.h"

namespace assay {
namespace {

size_t index_of(Site site) { return static_cast<size_t>(site); }

at::Tensor norm(const NormWeights& weights, const Hyper& hyper, const at::Tensor& x) {
  return hyper.norm == NormKind::kRms ? rms_norm(x, weights.weight, hyper.norm_eps) : layer_norm(x, weights.weight, weights.bias, hyper.norm_eps);
}

at::Tensor query_rows(const at::Tensor& x, int64_t sequences, int64_t tokens, int64_t begin, int64_t end) {
  if (begin == 0 && end == tokens) return x;
  return x.reshape({sequences, tokens, x.size(1)}).narrow(1, begin, end - begin).reshape({sequences * (end - begin), x.size(1)});
}

// Positions of rows: `sequences` times begin, begin + 1, ..., end - 1.
at::Tensor positions_of(int64_t sequences, int64_t begin, int64_t end) {
  return at::arange(begin, end, at::kInt).repeat({sequences});
}

// Scaled dot-product attention of whole heads. q: [S, Tq, heads, hd], k and v: [S, T, kv_heads, hd] -> [S * Tq, heads * hd].
// One call per sequence and head group inside ATen: a sequence's result does not depend on the batch (tested bit for bit).
at::Tensor attend(const Hyper& hyper, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t query_begin) {
  const int64_t sequences = q.size(0), queries = q.size(1), tokens = k.size(1);
  const int64_t repeat = hyper.heads / hyper.kv_heads;
  const auto heads_first = [&](const at::Tensor& x, int64_t times) {
    at::Tensor turned = x.transpose(1, 2);
    return times == 1 ? turned : turned.repeat_interleave(times, 1);
  };
  std::optional<at::Tensor> mask;
  const bool whole = query_begin == 0 && queries == tokens && hyper.sliding_window == 0;
  if (!whole) {
    const auto options = q.options().dtype(at::kLong);
    const at::Tensor row = at::arange(query_begin, query_begin + queries, options).unsqueeze(1), column = at::arange(tokens, options).unsqueeze(0);
    at::Tensor allowed = column <= row;
    if (hyper.sliding_window > 0) allowed = allowed.logical_and(row - column < hyper.sliding_window);
    mask = at::zeros({queries, tokens}, q.options()).masked_fill_(allowed.logical_not(), -std::numeric_limits<float>::infinity());
  }
  const at::Tensor out = at::scaled_dot_product_attention(heads_first(q, 1), heads_first(k, repeat), heads_first(v, repeat), mask, 0.0, whole);
  return out.transpose(1, 2).reshape({sequences * queries, int64_t{hyper.heads} * hyper.head_dim});
}

}  // namespace

std::string_view name_of(Site site) {
  constexpr std::string_view kNames[] = {"attn_q", "attn_k", "attn_v", "attn_qkv", "attn_output", "ffn_gate", "ffn_up", "ffn_down"};
  return kNames[index_of(site)];
}

Block::Block(std::unique_ptr<Weights> weights) : weights_(std::move(weights)) {}
Block::~Block() = default;

bool Block::has(Site site) const { return weights_->matrices[index_of(site)].defined(); }

uint64_t Block::bytes() const {
  uint64_t total = 0;
  for (const Matrix& matrix : weights_->matrices) total += static_cast<uint64_t>(matrix.bytes());
  return total;
}

at::Tensor Block::linear(Site site, const at::Tensor& x) const {
  at::Tensor y = weights_->matrices[index_of(site)].multiply(x);
  if (const at::Tensor& bias = weights_->biases[index_of(site)]; bias.defined()) y.add_(bias);
  return y;
}

at::Tensor Block::attention_input(const at::Tensor& h) const { return norm(weights_->attention_norm, *weights_->hyper, h); }
at::Tensor Block::ffn_input(const at::Tensor& h) const { return norm(weights_->ffn_norm, *weights_->hyper, h); }

at::Tensor Block::activate(const at::Tensor& gate, const at::Tensor& up) const {
  return weights_->hyper->mlp == MlpKind::kSwiGlu ? silu_multiply(gate, up) : gelu_tanh(up);
}

at::Tensor Block::attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t sequences, int64_t tokens,
                            int64_t query_begin, int64_t query_end) const {
  const Hyper& hyper = *weights_->hyper;
  const int64_t queries = query_end - query_begin, head_dim = hyper.head_dim;
  at::Tensor queries_by_head = q.reshape({sequences * queries, hyper.heads, head_dim});
  at::Tensor keys_by_head = k.reshape({sequences * tokens, hyper.kv_heads, head_dim});
  if (hyper.qk_norm) {
    queries_by_head = rms_norm(queries_by_head, weights_->q_norm, hyper.norm_eps);
    keys_by_head = rms_norm(keys_by_head, weights_->k_norm, hyper.norm_eps);
  } else if (hyper.rope != RopeKind::kNone) {  // turned in place: the caller keeps its own
    queries_by_head = queries_by_head.clone();
    keys_by_head = keys_by_head.clone();
  }
  if (hyper.rope != RopeKind::kNone) {
    const RopePairs pairs = hyper.rope == RopeKind::kInterleaved ? RopePairs::kInterleaved : RopePairs::kHalfSplit;
    const RopeTables& tables = *weights_->rope;
    rope_(queries_by_head, positions_of(sequences, query_begin, query_end).to(q.device()), tables.cos, tables.sin, pairs);
    rope_(keys_by_head, positions_of(sequences, 0, tokens).to(q.device()), tables.cos, tables.sin, pairs);
  }
  return attend(hyper, queries_by_head.view({sequences, queries, hyper.heads, head_dim}),
                keys_by_head.view({sequences, tokens, hyper.kv_heads, head_dim}), v.reshape({sequences, tokens, hyper.kv_heads, head_dim}),
                query_begin);
}

at::Tensor Block::attention_fused(const at::Tensor& qkv, int64_t sequences, int64_t tokens, int64_t query_begin, int64_t query_end) const {
  const Hyper& hyper = *weights_->hyper;
  const int64_t q = int64_t{hyper.heads} * hyper.head_dim, kv = int64_t{hyper.kv_heads} * hyper.head_dim;
  return attention(query_rows(qkv.narrow(1, 0, q), sequences, tokens, query_begin, query_end), qkv.narrow(1, q, kv), qkv.narrow(1, q + kv, kv),
                   sequences, tokens, query_begin, query_end);
}

at::Tensor Block::forward(const at::Tensor& h, int64_t sequences, int64_t tokens, const LinearFn& linear) const {
  return forward_scored(h, sequences, tokens, 0, tokens, linear);
}

at::Tensor Block::forward_scored(const at::Tensor& h, int64_t sequences, int64_t tokens, int64_t begin, int64_t end,
                                 const LinearFn& replaced) const {
  at::NoGradGuard no_grad;
  const auto product = [&](Site site, const at::Tensor& x) { return replaced ? replaced(site, x) : linear(site, x); };
  const at::Tensor x = attention_input(h);
  at::Tensor context;
  if (has(Site::kQkv)) {
    context = attention_fused(product(Site::kQkv, x), sequences, tokens, begin, end);
  } else {
    const at::Tensor q = product(Site::kQ, query_rows(x, sequences, tokens, begin, end));
    const at::Tensor k = product(Site::kK, x), v = product(Site::kV, x);
    context = attention(q, k, v, sequences, tokens, begin, end);
  }
  const at::Tensor middle = query_rows(h, sequences, tokens, begin, end) + product(Site::kO, context);
  const at::Tensor x_ffn = ffn_input(middle);
  const at::Tensor gate = has(Site::kGate) ? product(Site::kGate, x_ffn) : at::Tensor();
  const at::Tensor up = product(Site::kUp, x_ffn);
  return middle + product(Site::kDown, activate(gate, up));
}

PlainBlock::PlainBlock(std::unique_ptr<Weights> weights) : weights_(std::move(weights)) {}
PlainBlock::~PlainBlock() = default;

std::string PlainBlock::tensor(Site site) const { return "blk." + std::to_string(weights_->layer) + "." + std::string(name_of(site)) + ".weight"; }

at::Tensor PlainBlock::linear(Site site, const at::Tensor& x) const {
  return at::linear(x, weights_->matrices[index_of(site)], weights_->biases[index_of(site)]);
}

at::Tensor plain_norm(const NormWeights& weights, const Hyper& hyper, const at::Tensor& x) {
  if (hyper.norm == NormKind::kLayer) return at::layer_norm(x, {x.size(-1)}, weights.weight, weights.bias, hyper.norm_eps);
  return x * (x.square().mean(-1, true) + hyper.norm_eps).rsqrt() * weights.weight;
}

namespace {

// RoPE with differentiable operators. x: [S, T, heads, hd].
at::Tensor plain_rope(const at::Tensor& x, const RopeTables& tables, RopeKind kind) {
  const int64_t half = tables.cos.size(1), dims = 2 * half, tokens = x.size(1);
  const at::Tensor cos = tables.cos.narrow(0, 0, tokens).view({1, tokens, 1, half}), sin = tables.sin.narrow(0, 0, tokens).view({1, tokens, 1, half});
  const at::Tensor part = x.narrow(-1, 0, dims);
  at::Tensor turned;
  if (kind == RopeKind::kInterleaved) {
    const at::Tensor a = part.slice(-1, 0, dims, 2), b = part.slice(-1, 1, dims, 2);
    turned = at::stack({a * cos - b * sin, a * sin + b * cos}, -1).flatten(-2);
  } else {
    const at::Tensor a = part.narrow(-1, 0, half), b = part.narrow(-1, half, half);
    turned = at::cat({a * cos - b * sin, a * sin + b * cos}, -1);
  }
  return dims == x.size(-1) ? turned : at::cat({turned, x.narrow(-1, dims, x.size(-1) - dims)}, -1);
}

}  // namespace

at::Tensor PlainBlock::forward(const at::Tensor& h, int64_t sequences, int64_t tokens, const LinearFn& product) const {
  const Hyper& hyper = *weights_->hyper;
  const at::Tensor x = plain_norm(weights_->attention_norm, hyper, h);
  const int64_t q_width = int64_t{hyper.heads} * hyper.head_dim, kv_width = int64_t{hyper.kv_heads} * hyper.head_dim;
  at::Tensor q, k, v;
  if (weights_->matrices[index_of(Site::kQkv)].defined()) {
    const at::Tensor qkv = product(Site::kQkv, x);
    q = qkv.narrow(1, 0, q_width);
    k = qkv.narrow(1, q_width, kv_width);
    v = qkv.narrow(1, q_width + kv_width, kv_width);
  } else {
    q = product(Site::kQ, x);
    k = product(Site::kK, x);
    v = product(Site::kV, x);
  }
  q = q.reshape({sequences, tokens, hyper.heads, hyper.head_dim});
  k = k.reshape({sequences, tokens, hyper.kv_heads, hyper.head_dim});
  v = v.reshape({sequences, tokens, hyper.kv_heads, hyper.head_dim});
  if (hyper.qk_norm) {
    q = plain_norm(NormWeights{weights_->q_norm, {}}, hyper, q);
    k = plain_norm(NormWeights{weights_->k_norm, {}}, hyper, k);
  }
  if (hyper.rope != RopeKind::kNone) {
    q = plain_rope(q, *weights_->rope, hyper.rope);
    k = plain_rope(k, *weights_->rope, hyper.rope);
  }
  const at::Tensor middle = h + product(Site::kO, attend(hyper, q, k, v, 0));
  const at::Tensor x_ffn = plain_norm(weights_->ffn_norm, hyper, middle);
  at::Tensor activated;
  if (hyper.mlp == MlpKind::kSwiGlu) {
    activated = at::silu(product(Site::kGate, x_ffn)) * product(Site::kUp, x_ffn);
  } else {
    activated = at::gelu(product(Site::kUp, x_ffn), "tanh");
  }
  return middle + product(Site::kDown, activated);
}

}  // namespace assay
