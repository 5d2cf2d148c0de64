#include "assay/job/variant_proxies.h"

#include <cmath>
#include <set>

#include "assay/probe/fork.h"

namespace assay {
namespace {

double square_of(const at::Tensor& x) { return at::sum(x.to(at::kDouble).square()).item<double>(); }

double square_of(const WeightChange& change) {
  if (change.dense.defined()) return square_of(change.dense);
  if (change.left.defined()) return square_of(change.left.matmul(change.right));
  double sum = 0;
  for (const SparseWeight& weight : change.sparse) sum += static_cast<double>(weight.value) * weight.value;
  return sum;
}

// Which parts of a block run: nothing, one or both.
struct Parts {
  bool attention = true, ffn = true;
  bool whole() const { return attention && ffn; }
};

Result<Parts> parts_of(const ResolvedVariant& variant, int layer) {
  if (!variant.steps) return Parts{};
  Parts parts{false, false};
  for (const ResolvedStep& step : *variant.steps) {
    if (step.block != layer) continue;
    if (parts.attention || parts.ffn || step.gamma != 1)
      return fail(ErrorCode::kUnsupported, "proxies: a block that runs twice or damped has no reconstruction error");
    parts = {step.part != BlockPart::kFfn, step.part != BlockPart::kAttention};
  }
  return parts;
}

}  // namespace

Result<VariantProxies> VariantProxies::make(std::shared_ptr<const Network> network, std::span<const Window> windows) {
  at::NoGradGuard no_grad;
  VariantProxies proxies;
  proxies.network_ = network;
  proxies.sequences_ = static_cast<int64_t>(windows.size());
  proxies.length_ = static_cast<int64_t>(windows[0].tokens.size());
  proxies.tokens_ = token_matrix(windows).flatten();
  ASSAY_ASSIGN(const at::Tensor last,
               run_blocks(*network, windows, {}, [&](int, const at::Tensor& h) { proxies.streams_.push_back(h.clone()); }));
  (void)last;
  for (const TensorInfo& tensor : network->checkpoint().tensors()) {
    if (tensor.n_dims != 2) continue;
    ASSAY_ASSIGN(const at::Tensor weight, network->plain_weight(tensor.name));
    proxies.all_weights_ += square_of(weight);
  }
  return proxies;
}

Result<double> VariantProxies::weight_error(const ResolvedVariant& variant) const {
  at::NoGradGuard no_grad;
  double sum = 0;
  std::set<std::string> seen;  // a tied embedding is there twice
  for (const ResolvedEdit& edit : variant.edits) {
    if (!seen.insert(edit.key + (edit.layer >= 0 ? std::to_string(edit.layer) + ':' + std::to_string(static_cast<int>(edit.site)) : ""))
             .second)
      continue;
    ASSAY_ASSIGN(const WeightChange change, edit.make());
    sum += square_of(change);
  }
  for (int layer = 0; layer < network_->hyper().layers; ++layer) {
    ASSAY_ASSIGN(const Parts parts, parts_of(variant, layer));
    for (const auto& [runs, site] : {std::pair(parts.attention, Site::kO), std::pair(parts.ffn, Site::kDown)}) {
      if (runs) continue;
      ASSAY_ASSIGN(const at::Tensor weight, network_->plain_weight(network_->tensor_name(layer, site)));
      sum += square_of(weight);
    }
  }
  return std::sqrt(sum / all_weights_);
}

Result<double> VariantProxies::reconstruction(const ResolvedVariant& variant) const {
  at::NoGradGuard no_grad;
  double sum = 0;
  for (const ResolvedEdit& edit : variant.edits) {
    if (edit.layer >= 0) continue;
    ASSAY_ASSIGN(const WeightChange change, edit.make());
    const int64_t d = network_->hyper().d_model;
    if (edit.layer == ResolvedEdit::kEmbedding) {
      sum += square_of(change.rows(tokens_, d)) / square_of(streams_[0]);
    } else {
      // In tiles: logits of all rows would be large.
      const at::Tensor normed = network_->final_norm(streams_.back());
      const PackedChange packed = PackedChange::pack(change, Compute::kFloat32, network_->device());
      double changed = 0, whole = 0;
      for (int64_t first = 0; first < normed.size(0); first += 64) {
        const at::Tensor x = normed.narrow(0, first, std::min<int64_t>(64, normed.size(0) - first));
        at::Tensor logits = network_->head().multiply(x), delta = at::zeros_like(logits);
        packed.multiply_add(x, delta);
        // A shift common to all logits changes no probability.
        changed += square_of(delta - delta.mean(-1, true));
        whole += square_of(logits - logits.mean(-1, true));
      }
      sum += changed / whole;
    }
  }
  const StreamShape shape{sequences_, length_, 0, length_};
  for (int layer = 0; layer < network_->hyper().layers; ++layer) {
    ASSAY_ASSIGN(const Parts parts, parts_of(variant, layer));
    ASSAY_ASSIGN(const BlockEdit edit, block_edit(*network_, variant, layer));
    const bool edited =
        edit.attention || std::any_of(edit.deltas.begin(), edit.deltas.end(), [](const auto& delta) { return delta != nullptr; });
    if (parts.whole() && !edited) continue;
    const at::Tensor &in = streams_[static_cast<size_t>(layer)], &out = streams_[static_cast<size_t>(layer) + 1];
    at::Tensor changed = in;
    if (parts.attention || parts.ffn) {
      ASSAY_ASSIGN(const std::shared_ptr<const Block> block, network_->block(layer));
      const BlockPart part = parts.whole() ? BlockPart::kBlock : parts.attention ? BlockPart::kAttention : BlockPart::kFfn;
      changed = run_trunk(*block, shape, in, nullptr, edit, part).output();
    }
    sum += square_of(changed - out) / square_of(out - in);
  }
  return sum;
}

}  // namespace assay
