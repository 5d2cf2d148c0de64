// The norms of a model in three forms: by row kernels, differentiable, and their gradient.
#include "assay/model/block_weights.h"
#include "assay/model/row_gradients.h"

namespace assay {

at::Tensor norm(const NormWeights& weights, const Hyper& hyper, const at::Tensor& x) {
  return hyper.norm == NormKind::kRms ? rms_norm(x, weights.weight, hyper.norm_eps)
                                      : layer_norm(x, weights.weight, weights.bias, hyper.norm_eps);
}

at::Tensor plain_norm(const NormWeights& weights, const Hyper& hyper, const at::Tensor& x) {
  if (hyper.norm == NormKind::kLayer) return at::layer_norm(x, {x.size(-1)}, weights.weight, weights.bias, hyper.norm_eps);
  return x * (x.square().mean(-1, true) + hyper.norm_eps).rsqrt() * weights.weight;
}

at::Tensor norm_gradient(const NormWeights& weights, const Hyper& hyper, const at::Tensor& x, const at::Tensor& g) {
  if (!x.is_cpu()) {
    at::AutoGradMode grad(true);
    const at::Tensor input = x.detach().clone().requires_grad_(true);
    return torch::autograd::grad({plain_norm(weights, hyper, input)}, {input}, {g})[0];
  }
  return hyper.norm == NormKind::kRms ? rms_norm_gradient(x, weights.weight, hyper.norm_eps, g)
                                      : layer_norm_gradient(x, weights.weight, hyper.norm_eps, g);
}

}  // namespace assay
