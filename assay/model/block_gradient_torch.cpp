// Backward through a block: by our own kernels where the CPU has them, else by differentiating the operators of forward().
#include "assay/model/attention.h"
#include "assay/model/block_weights.h"
#include "assay/model/panel_product.h"
#include "assay/model/row_gradients.h"
#include "assay/model/stored_product.h"

namespace assay {
namespace {

size_t index_of(Site site) { return static_cast<size_t>(site); }

// One pass through a block and back on rows [sequences * tokens, d]. Every intermediate is float32 and contiguous.
class BackwardPass {
 public:
  BackwardPass(const PlainBlock::Weights& weights, int64_t sequences, int64_t tokens)
      : weights_(weights), hyper_(*weights.hyper), sequences_(sequences), tokens_(tokens) {}

  // trace: null where the block is to be run again.
  BlockGradient run(const at::Tensor& h, const at::Tensor& g_out, const BlockTrace* trace) {
    forward(h, trace);
    at::Tensor g_middle = backward_ffn(g_out);
    at::Tensor g_x = backward_attention(g_middle);
    result_.input = norm_gradient(weights_.attention_norm, hyper_, h, g_x).add_(g_middle);
    return std::move(result_);
  }

 private:
  bool fused() const { return hyper_.fused_qkv; }
  bool gated() const { return hyper_.mlp == MlpKind::kSwiGlu; }
  int64_t q_width() const { return int64_t{hyper_.heads} * hyper_.head_dim; }
  int64_t kv_width() const { return int64_t{hyper_.kv_heads} * hyper_.head_dim; }
  at::Tensor by_head(const at::Tensor& x, int64_t heads) const { return x.reshape({sequences_ * tokens_, heads, hyper_.head_dim}); }
  at::Tensor by_sequence(const at::Tensor& x) const { return x.view({sequences_, tokens_, x.size(1), x.size(2)}); }

  // The matrix is packed for this product only: 2,048 rows outweigh it, and memory holds one at a time.
  at::Tensor product(Site site, const at::Tensor& x) const {
    at::Tensor y = Matrix::pack(weights_.matrices[index_of(site)], Compute::kFloat32).multiply(x);
    if (const at::Tensor& bias = weights_.biases[index_of(site)]; bias.defined()) y.add_(bias);
    return y;
  }

  // g at a product's output -> at its input, added to `g_x` where there is one.
  at::Tensor back(Site site, const at::Tensor& x, const at::Tensor& g, at::Tensor g_x = {}) {
    result_.sites.push_back({site, x, g});
    const at::Tensor& weight = weights_.matrices[index_of(site)];
    if (!g_x.defined()) return multiply_stored(g, weight);
    multiply_stored_add(g, weight, g_x);
    return g_x;
  }

  // Turns the heads of x [rows, heads, head_dim] in place, or back.
  void rotate(at::Tensor& x, bool backwards) const {
    if (hyper_.rope == RopeKind::kNone) return;
    const auto tables = weights_.rope->tables(tokens_);
    const at::Tensor positions = at::arange(0, tokens_, at::kInt).repeat({sequences_});
    rope_(x, positions, tables->cos, backwards ? tables->sin.neg() : tables->sin, rope_pairs(hyper_));
  }
  // What attention sees of q or k: normed where the model does that, and turned.
  at::Tensor prepare(const at::Tensor& x, const at::Tensor& norm) const {
    at::Tensor prepared = hyper_.qk_norm ? rms_norm(x, norm, hyper_.norm_eps) : x.clone();
    rotate(prepared, false);
    return prepared;
  }
  // x: what prepare() got. Takes g over.
  at::Tensor back_prepare(const at::Tensor& x, const at::Tensor& norm, at::Tensor g) const {
    rotate(g, true);
    return hyper_.qk_norm ? rms_norm_gradient(x, norm, hyper_.norm_eps, g) : g;
  }

  // Up to the input of the last product, whose output nobody needs.
  void forward(const at::Tensor& h, const BlockTrace* trace) {
    const auto output = [&](at::Tensor BlockTrace::* member, Site site, const at::Tensor& x) {
      return trace != nullptr ? trace->*member : product(site, x);
    };
    x_ = norm(weights_.attention_norm, hyper_, h);
    if (fused()) {
      const at::Tensor qkv = output(&BlockTrace::qkv, Site::kQkv, x_);
      q_ = by_head(qkv.narrow(1, 0, q_width()), hyper_.heads).contiguous();
      k_ = by_head(qkv.narrow(1, q_width(), kv_width()), hyper_.kv_heads).contiguous();
      v_ = by_head(qkv.narrow(1, q_width() + kv_width(), kv_width()), hyper_.kv_heads).contiguous();
    } else {
      q_ = by_head(output(&BlockTrace::q, Site::kQ, x_), hyper_.heads);
      k_ = by_head(output(&BlockTrace::k, Site::kK, x_), hyper_.kv_heads);
      v_ = by_head(output(&BlockTrace::v, Site::kV, x_), hyper_.kv_heads);
    }
    queries_ = prepare(q_, weights_.q_norm);
    keys_ = prepare(k_, weights_.k_norm);
    context_ = trace != nullptr ? trace->context : attend_fast(hyper_, by_sequence(queries_), by_sequence(keys_), by_sequence(v_), 0);
    middle_ = h + output(&BlockTrace::attended, Site::kO, context_);
    x_ffn_ = norm(weights_.ffn_norm, hyper_, middle_);
    if (gated()) gate_ = output(&BlockTrace::gate, Site::kGate, x_ffn_);
    up_ = output(&BlockTrace::up, Site::kUp, x_ffn_);
    activated_ = gated() ? silu_multiply(gate_, up_) : gelu_tanh(up_);
  }

  // Gradient at the residual stream between attention and MLP.
  at::Tensor backward_ffn(const at::Tensor& g_out) {
    const at::Tensor g_activated = back(Site::kDown, activated_, g_out);
    at::Tensor g_x;
    if (gated()) {
      const auto [g_gate, g_up] = silu_multiply_gradient(gate_, up_, g_activated);
      g_x = back(Site::kUp, x_ffn_, g_up, back(Site::kGate, x_ffn_, g_gate));
    } else {
      g_x = back(Site::kUp, x_ffn_, gelu_tanh_gradient(up_, g_activated));
    }
    return norm_gradient(weights_.ffn_norm, hyper_, middle_, g_x).add_(g_out);
  }

  // Gradient at the normed input of attention.
  at::Tensor backward_attention(const at::Tensor& g_middle) {
    const at::Tensor g_context = back(Site::kO, context_, g_middle);
    AttentionGradients g =
        attend_gradient(hyper_, by_sequence(queries_), by_sequence(keys_), by_sequence(v_), by_sequence(by_head(g_context, hyper_.heads)));
    const at::Tensor g_q = back_prepare(q_, weights_.q_norm, by_head(g.q, hyper_.heads)).flatten(1);
    const at::Tensor g_k = back_prepare(k_, weights_.k_norm, by_head(g.k, hyper_.kv_heads)).flatten(1);
    const at::Tensor g_v = by_head(g.v, hyper_.kv_heads).flatten(1);
    if (fused()) return back(Site::kQkv, x_, at::cat({g_q, g_k, g_v}, 1));
    return back(Site::kV, x_, g_v, back(Site::kK, x_, g_k, back(Site::kQ, x_, g_q)));
  }

  const PlainBlock::Weights& weights_;
  const Hyper& hyper_;
  int64_t sequences_, tokens_;
  at::Tensor x_, q_, k_, v_;             // normed input; [rows, heads, head_dim] as the products give them
  at::Tensor queries_, keys_, context_;  // as attention sees them; its result
  at::Tensor middle_, x_ffn_, gate_, up_, activated_;
  BlockGradient result_;
};

}  // namespace

bool PlainBlock::takes_traces(const at::Device& device, Compute compute) {
  return device.is_cpu() && compute == Compute::kFloat32 && panel::float32_supported();
}

BlockGradient PlainBlock::backward(const at::Tensor& h, const at::Tensor& g_out, int64_t sequences, int64_t tokens,
                                   const BlockTrace* trace) const {
  at::NoGradGuard no_grad;
  if (!h.is_cpu() || !panel::float32_supported()) return backward_by_operators(h, g_out, sequences, tokens);
  return BackwardPass(*weights_, sequences, tokens).run(h.contiguous(), g_out.contiguous(), trace);
}

BlockGradient PlainBlock::backward_by_operators(const at::Tensor& h, const at::Tensor& g_out, int64_t sequences, int64_t tokens) const {
  at::AutoGradMode grad(true);
  const at::Tensor input = h.detach().clone().requires_grad_(true);
  std::vector<at::Tensor> wanted{input};
  BlockGradient result;
  const at::Tensor out = forward(input, sequences, tokens, [&](Site site, const at::Tensor& x) {
    at::Tensor y = linear(site, x);
    result.sites.push_back({site, x.detach(), {}});
    wanted.push_back(y);
    return y;
  });
  const auto gradients = torch::autograd::grad({out}, wanted, {g_out});
  result.input = gradients[0];
  for (size_t i = 0; i < result.sites.size(); ++i) result.sites[i].g = gradients[i + 1];
  return result;
}

}  // namespace assay
