// Logits of the scored positions in tiles of a few rows, for the base-logits file (kld_file.h): never a whole window's.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <span>

#include "assay/model/network.h"

namespace assay {

// logits [rows, vocab] of rows [first, first + rows) of the hidden states.
using LogitsSink = std::function<Status(uint64_t first, std::span<const float> logits)>;

// hidden: [rows, d] before the final norm. `memory`: bytes of logits in flight. Stops at the sink's first error.
Status for_each_logits_tile(const Network& network, const at::Tensor& hidden, uint64_t memory, const LogitsSink& sink);

}  // namespace assay
