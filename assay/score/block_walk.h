// Windows taken through a model block by block, each at its own pace: what scores with passes of their own are made of. One block's
// weights are in hand at a time. Rule of rows: a window's stream does not depend on the others. Non-goals: the head (probe/sweep.h).
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <span>
#include <vector>

#include "assay/base/result.h"
#include "assay/model/network.h"
#include "assay/text/windows.h"

namespace assay {

// The residual stream of each window, [tokens, d] on the model's device.
using Streams = std::vector<at::Tensor>;

// Before the first block.
Result<Streams> embedded(const Network& network, std::span<const Window> windows);

// A product of the block in place of block.linear(site, x); x [tokens, in], returns [tokens, out].
using BlockProduct = std::function<at::Tensor(const Block& block, Site site, const at::Tensor& x)>;

// Streams before block `layer` -> after it. `product` may be empty. kBadInput: values that are not finite come out.
Status step(const Network& network, int layer, Streams& streams, const BlockProduct& product = {});

}  // namespace assay
