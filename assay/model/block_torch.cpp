#include <algorithm>

#include "assay/model/attention.h"
#include "assay/model/block_weights.h"
#include "assay/model/gated_product.h"
#include "assay/model/row_kernels.h"

namespace assay {
namespace {

size_t index_of(Site site) { return static_cast<size_t>(site); }

at::Tensor query_rows(const at::Tensor& x, int64_t sequences, int64_t tokens, int64_t begin, int64_t end) {
  if (begin == 0 && end == tokens) return x;
  return x.reshape({sequences, tokens, x.size(1)}).narrow(1, begin, end - begin).reshape({sequences * (end - begin), x.size(1)});
}

// Positions of rows: `sequences` times begin, begin + 1, ..., end - 1.
at::Tensor positions_of(int64_t sequences, int64_t begin, int64_t end) { return at::arange(begin, end, at::kInt).repeat({sequences}); }

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

at::Tensor Block::linear_near(Site site, const at::Tensor& distance, const at::Tensor& y_base) const {
  return weights_->matrices[index_of(site)].add_deviation(distance, y_base);
}

at::Tensor Block::attention_input(const at::Tensor& h) const { return norm(weights_->attention_norm, *weights_->hyper, h); }
at::Tensor Block::ffn_input(const at::Tensor& h) const { return norm(weights_->ffn_norm, *weights_->hyper, h); }

at::Tensor Block::activate(const at::Tensor& gate, const at::Tensor& up) const {
  return weights_->hyper->mlp == MlpKind::kSwiGlu ? silu_multiply(gate, up) : gelu_tanh(up);
}

// Gate and up can be multiplied and activated in one pass.
bool Block::gated_on_panels() const {
  const Weights& w = *weights_;
  const int64_t width = w.matrices[index_of(Site::kUp)].out();
  return w.hyper->mlp == MlpKind::kSwiGlu && width % 2 == 0 && w.matrices[index_of(Site::kUp)].panels().defined() &&
         !w.biases[index_of(Site::kGate)].defined() && !w.biases[index_of(Site::kUp)].defined();
}

at::Tensor Block::mlp(const at::Tensor& x) const {
  const Matrix &gate = weights_->matrices[index_of(Site::kGate)], &up = weights_->matrices[index_of(Site::kUp)];
  if (!gated_on_panels())
    return linear(Site::kDown, activate(has(Site::kGate) ? linear(Site::kGate, x) : at::Tensor(), linear(Site::kUp, x)));
  const at::Tensor activated = gated_product(up.prepare(x.contiguous()), gate.panels(), up.panels(), up.out(), nullptr);
  const Matrix& down = weights_->matrices[index_of(Site::kDown)];
  at::Tensor y = activated.scalar_type() == at::kBFloat16 ? down.multiply_prepared(activated) : down.multiply(activated);
  if (const at::Tensor& bias = weights_->biases[index_of(Site::kDown)]; bias.defined()) y.add_(bias);
  return y;
}

at::Tensor Block::mlp_near(const at::Tensor& x, const MlpValues& base) const {
  const Matrix &gate = weights_->matrices[index_of(Site::kGate)], &up = weights_->matrices[index_of(Site::kUp)];
  const Matrix& down = weights_->matrices[index_of(Site::kDown)];
  const at::Tensor distance = round_deviation(x, base.x);
  if (gated_on_panels()) {
    const GatedBase gated{base.gate, base.up, base.activated};
    return down.add_deviation(gated_product(distance, gate.deviation_panels(), up.deviation_panels(), up.out(), &gated), base.down);
  }
  const at::Tensor own_gate = has(Site::kGate) ? gate.add_deviation(distance, base.gate) : at::Tensor();
  return down.add_deviation(round_deviation(activate(own_gate, up.add_deviation(distance, base.up)), base.activated), base.down);
}

// Norms of heads and rotary positions, in place but for what the caller keeps. q, k: [rows, heads, head_dim].
void Block::place_heads(at::Tensor& q, at::Tensor& k, const at::Tensor& q_positions, const at::Tensor& k_positions, int64_t longest) const {
  const Hyper& hyper = *weights_->hyper;
  if (hyper.qk_norm) {
    q = rms_norm(q, weights_->q_norm, hyper.norm_eps);
    k = rms_norm(k, weights_->k_norm, hyper.norm_eps);
  } else if (hyper.rope != RopeKind::kNone) {  // turned in place: the caller keeps its own
    q = q.clone();
    k = k.clone();
  }
  if (hyper.rope == RopeKind::kNone) return;
  const auto tables = weights_->rope->tables(longest);
  const RopePairs pairs = rope_pairs(hyper);
  rope_(q, q_positions.to(q.device()), tables->cos, tables->sin, pairs);
  rope_(k, k_positions.to(q.device()), tables->cos, tables->sin, pairs);
}

Block::Heads Block::heads_of(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t sequences, int64_t tokens,
                             int64_t query_begin, int64_t query_end) const {
  const Hyper& hyper = *weights_->hyper;
  const int64_t queries = query_end - query_begin, head_dim = hyper.head_dim;
  at::Tensor queries_by_head = q.reshape({sequences * queries, hyper.heads, head_dim});
  at::Tensor keys_by_head = k.reshape({sequences * tokens, hyper.kv_heads, head_dim});
  place_heads(queries_by_head, keys_by_head, positions_of(sequences, query_begin, query_end), positions_of(sequences, 0, tokens), tokens);
  return {queries_by_head.view({sequences, queries, hyper.heads, head_dim}),
          keys_by_head.view({sequences, tokens, hyper.kv_heads, head_dim}), v.reshape({sequences, tokens, hyper.kv_heads, head_dim})};
}

Block::Heads Block::heads_of_fused(const at::Tensor& qkv, int64_t sequences, int64_t tokens, int64_t query_begin, int64_t query_end) const {
  const Hyper& hyper = *weights_->hyper;
  const int64_t q = int64_t{hyper.heads} * hyper.head_dim, kv = int64_t{hyper.kv_heads} * hyper.head_dim;
  return heads_of(query_rows(qkv.narrow(1, 0, q), sequences, tokens, query_begin, query_end), qkv.narrow(1, q, kv),
                  qkv.narrow(1, q + kv, kv), sequences, tokens, query_begin, query_end);
}

at::Tensor Block::attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t sequences, int64_t tokens,
                            int64_t query_begin, int64_t query_end, const AttentionRules* rules) const {
  const Heads heads = heads_of(q, k, v, sequences, tokens, query_begin, query_end);
  return attend_fast(*weights_->hyper, heads.q, heads.k, heads.v, query_begin, rules);
}

at::Tensor Block::attention_trees(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::span<const TokenTree> trees,
                                  bool wanted) const {
  const Hyper& hyper = *weights_->hyper;
  int64_t longest = 0;
  for (const TokenTree& tree : trees) longest = std::max(longest, tree.longest());
  at::Tensor queries = q.reshape({-1, hyper.heads, hyper.head_dim}), keys = k.reshape({-1, hyper.kv_heads, hyper.head_dim});
  const at::Tensor k_positions = at::tensor(assay::positions_of(trees, false), at::kInt);
  place_heads(queries, keys, wanted ? at::tensor(assay::positions_of(trees, true), at::kInt) : k_positions, k_positions, longest);
  return attend_trees(hyper, queries, keys, v.reshape({-1, hyper.kv_heads, hyper.head_dim}), trees, wanted);
}

at::Tensor Block::attention_trees_fused(const at::Tensor& qkv, std::span<const TokenTree> trees, bool wanted) const {
  const Hyper& hyper = *weights_->hyper;
  const int64_t q = int64_t{hyper.heads} * hyper.head_dim, kv = int64_t{hyper.kv_heads} * hyper.head_dim;
  at::Tensor queries = qkv.narrow(1, 0, q);
  if (wanted) queries = queries.index_select(0, at::tensor(wanted_rows_of(trees), at::kLong).to(qkv.device()));
  return attention_trees(queries, qkv.narrow(1, q, kv), qkv.narrow(1, q + kv, kv), trees, wanted);
}

at::Tensor Block::attention_fused(const at::Tensor& qkv, int64_t sequences, int64_t tokens, int64_t query_begin, int64_t query_end,
                                  const AttentionRules* rules) const {
  const Heads heads = heads_of_fused(qkv, sequences, tokens, query_begin, query_end);
  return attend_fast(*weights_->hyper, heads.q, heads.k, heads.v, query_begin, rules);
}

std::vector<at::Tensor> Block::attention_under(const Heads& heads, int64_t query_begin,
                                               std::span<const AttentionRules* const> rules) const {
  return attend_under(*weights_->hyper, heads.q, heads.k, heads.v, query_begin, rules);
}

at::Tensor Block::forward(const at::Tensor& h, int64_t sequences, int64_t tokens, const LinearFn& linear) const {
  return forward_scored(h, sequences, tokens, 0, tokens, linear);
}

at::Tensor Block::forward_traced(const at::Tensor& h, int64_t sequences, int64_t tokens, BlockTrace& trace) const {
  at::Tensor* const outputs[] = {&trace.q, &trace.k, &trace.v, &trace.qkv, &trace.attended, &trace.gate, &trace.up, nullptr};
  static_assert(std::size(outputs) == kSiteCount);
  return forward(h, sequences, tokens, [&](Site site, const at::Tensor& x) {
    at::Tensor y = linear(site, x);
    if (site == Site::kO) trace.context = x;
    if (at::Tensor* const output = outputs[index_of(site)]) *output = y;
    return y;
  });
}

int64_t BlockTrace::floats_per_row(const Hyper& hyper) {
  const int64_t q = int64_t{hyper.heads} * hyper.head_dim, kv = int64_t{hyper.kv_heads} * hyper.head_dim;
  return 2 * q + 2 * kv + hyper.d_model + (hyper.mlp == MlpKind::kSwiGlu ? 2 : 1) * int64_t{hyper.d_ff};
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
  if (!replaced) return middle + mlp(x_ffn);
  const at::Tensor gate = has(Site::kGate) ? product(Site::kGate, x_ffn) : at::Tensor();
  const at::Tensor up = product(Site::kUp, x_ffn);
  return middle + product(Site::kDown, activate(gate, up));
}

}  // namespace assay
