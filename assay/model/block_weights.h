// The weights behind Block and PlainBlock. Internal to model/.
#pragma once

#include <array>

#include "assay/model/network.h"

namespace assay {

struct NormWeights {
  at::Tensor weight, bias;  // [d]; bias undefined for RMS norm
};

struct Block::Weights {
  std::shared_ptr<const Hyper> hyper;
  std::shared_ptr<const RopeTables> rope;
  std::array<Matrix, kSiteCount> matrices;
  std::array<at::Tensor, kSiteCount> biases;
  NormWeights attention_norm, ffn_norm;
  at::Tensor q_norm, k_norm;  // [head_dim]
};

struct PlainBlock::Weights {
  int layer = 0;
  std::shared_ptr<const Hyper> hyper;
  std::shared_ptr<const RopeTables> rope;
  std::array<at::Tensor, kSiteCount> matrices, biases;
  NormWeights attention_norm, ffn_norm;
  at::Tensor q_norm, k_norm;
};

// The norm of `hyper`'s kind, differentiable.
at::Tensor plain_norm(const NormWeights& weights, const Hyper& hyper, const at::Tensor& x);

}  // namespace assay
