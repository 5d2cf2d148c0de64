#include "assay/probe/sweep.h"
#include "assay/score/block_walk.h"

namespace assay {

Result<Streams> embedded(const Network& network, std::span<const Window> windows) {
  at::NoGradGuard no_grad;
  Streams streams;
  for (size_t w = 0; w < windows.size(); ++w) {
    ASSAY_ASSIGN(at::Tensor h, network.embed(token_matrix(windows.subspan(w, 1))));
    streams.push_back(std::move(h));
  }
  return streams;
}

Status step(const Network& network, int layer, Streams& streams, const BlockProduct& product) {
  at::NoGradGuard no_grad;
  ASSAY_ASSIGN(const std::shared_ptr<const Block> block, network.block(layer));
  LinearFn linear;
  if (product) linear = [&](Site site, const at::Tensor& x) { return product(*block, site, x); };
  for (at::Tensor& h : streams) {
    h = block->forward(h, 1, h.size(0), linear).reshape({h.size(0), -1});
    if (!at::isfinite(h.sum()).item<bool>())
      return fail(ErrorCode::kBadInput, {"model: output of block " + std::to_string(layer), "holds NaN or infinite values",
                                         "finite activations are needed", "broken weights in this block"});
  }
  return {};
}

}  // namespace assay
