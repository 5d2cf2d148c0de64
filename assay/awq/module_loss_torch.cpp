#include "assay/awq/module_loss.h"

namespace assay {
namespace {

using Changes = std::map<Site, at::Tensor>;

at::Tensor product(const Block& block, Site site, const at::Tensor& x, const Changes& changes) {
  at::Tensor y = block.linear(site, x);
  if (const auto found = changes.find(site); found != changes.end())
    y.add_(Matrix::pack(found->second, Compute::kFloat32, x.device()).multiply(x));
  return y;
}

at::Tensor attention_output(const Block& block, const BlockInputs& in, const Changes& changes) {
  const auto part = [&](Site site) { return product(block, site, in.attention, changes); };
  const at::Tensor context = block.has(Site::kQkv)
                                 ? block.attention_fused(part(Site::kQkv), in.sequences, in.tokens, 0, in.tokens)
                                 : block.attention(part(Site::kQ), part(Site::kK), part(Site::kV), in.sequences, in.tokens, 0, in.tokens);
  return block.linear(Site::kO, context);
}

at::Tensor ffn_output(const Block& block, const BlockInputs& in, const Changes& changes) {
  const at::Tensor gate = block.has(Site::kGate) ? product(block, Site::kGate, in.ffn, changes) : at::Tensor();
  return block.linear(Site::kDown, block.activate(gate, product(block, Site::kUp, in.ffn, changes)));
}

double squares(const at::Tensor& values) {
  const at::Tensor rows = values.square().sum(1, false, at::kDouble).to(at::kCPU).contiguous();
  double sum = 0;
  for (int64_t r = 0; r < rows.numel(); ++r) sum += rows.const_data_ptr<double>()[r];
  return sum;
}

}  // namespace

double module_loss(const Block& block, std::span<const BlockInputs> inputs, const Changes& changes) {
  const bool ffn = changes.contains(Site::kUp) || changes.contains(Site::kGate);
  const auto run = [&](const BlockInputs& in, const Changes& with) {
    return ffn ? ffn_output(block, in, with) : attention_output(block, in, with);
  };
  double error = 0, output = 0;
  for (const BlockInputs& in : inputs) {
    const at::Tensor base = run(in, {});
    error += squares(run(in, changes) - base);
    output += squares(base);
  }
  return output > 0 ? error / output : 0;
}

}  // namespace assay
