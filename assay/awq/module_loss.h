// The error of a whole attention's or MLP's output when some of the block's matrices change: the published AWQ's loss. Internal to awq/.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <span>
#include <vector>

#include "assay/model/network.h"

namespace assay {

// What the two halves of a block read in one batch of sequences, [sequences * tokens, d].
struct BlockInputs {
  int64_t sequences = 0, tokens = 0;
  at::Tensor attention, ffn;
};

// Squared error of the half's output over its own squares; changes: dW of matrices that read one vector (q, k, v or gate, up).
double module_loss(const Block& block, std::span<const BlockInputs> inputs, const std::map<Site, at::Tensor>& changes);

}  // namespace assay
