#include "assay/model/attention.h"
#include "assay/model/block_weights.h"
#include "assay/model/weight_loader.h"

namespace assay {

PlainBlock::PlainBlock(std::unique_ptr<Weights> weights) : weights_(std::move(weights)) {}
PlainBlock::~PlainBlock() = default;

bool PlainBlock::has(Site site) const { return weights_->matrices[static_cast<size_t>(site)].defined(); }
std::string PlainBlock::tensor(Site site) const { return block_tensor(weights_->layer, site); }

at::Tensor PlainBlock::linear(Site site, const at::Tensor& x) const {
  const auto index = static_cast<size_t>(site);
  return at::linear(x, weights_->matrices[index], weights_->biases[index]);
}

at::Tensor PlainBlock::forward(const at::Tensor& h, int64_t sequences, int64_t tokens, const LinearFn& replaced) const {
  const Hyper& hyper = *weights_->hyper;
  const auto product = [&](Site site, const at::Tensor& x) { return replaced ? replaced(site, x) : linear(site, x); };
  const at::Tensor x = plain_norm(weights_->attention_norm, hyper, h);
  const int64_t q_width = int64_t{hyper.heads} * hyper.head_dim, kv_width = int64_t{hyper.kv_heads} * hyper.head_dim;
  at::Tensor q, k, v;
  if (hyper.fused_qkv) {
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
    const auto tables = weights_->rope->tables(tokens);
    const at::Tensor cos = tables->cos.narrow(0, 0, tokens), sin = tables->sin.narrow(0, 0, tokens);
    q = rope(q, cos, sin, rope_pairs(hyper));
    k = rope(k, cos, sin, rope_pairs(hyper));
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
