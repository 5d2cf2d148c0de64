// The weights behind Block and PlainBlock. Internal to model/.
#pragma once

#include <array>

#include "assay/model/network.h"
#include "assay/model/rope_cache.h"
#include "assay/model/row_kernels.h"

namespace assay {

struct NormWeights {
  at::Tensor weight, bias;  // [d]; bias undefined for RMS norm
};

struct Block::Weights {
  std::shared_ptr<const Hyper> hyper;
  std::shared_ptr<const RopeCache> rope;  // null without rotary embedding
  std::array<Matrix, kSiteCount> matrices;
  std::array<at::Tensor, kSiteCount> biases;
  NormWeights attention_norm, ffn_norm;
  at::Tensor q_norm, k_norm;  // [head_dim]
};

struct PlainBlock::Weights {
  int layer = 0;
  std::shared_ptr<const Hyper> hyper;
  std::shared_ptr<const RopeCache> rope;  // null without rotary embedding
  std::array<at::Tensor, kSiteCount> matrices, biases;
  NormWeights attention_norm, ffn_norm;
  at::Tensor q_norm, k_norm;
};

inline RopePairs rope_pairs(const Hyper& hyper) {
  return hyper.rope == RopeKind::kInterleaved ? RopePairs::kInterleaved : RopePairs::kHalfSplit;
}

// The norm of `hyper`'s kind, differentiable.
at::Tensor plain_norm(const NormWeights& weights, const Hyper& hyper, const at::Tensor& x);
// The same by row kernels.
at::Tensor norm(const NormWeights& weights, const Hyper& hyper, const at::Tensor& x);
// Gradient at x from g at the norm's result; row kernels on the CPU.
at::Tensor norm_gradient(const NormWeights& weights, const Hyper& hyper, const at::Tensor& x, const at::Tensor& g);

}  // namespace assay
