// Second moments X^T X of a model's linear inputs over all tokens of a text (methods.md 4.5), block after block: all windows pass one
// block before the next, so that one block's matrices are in memory. Products in float32 per batch of windows, batches summed in double.
// Results do not depend on threads. Non-goals: the file (file/moments.h), factoring (codes/second_moment.h).
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "assay/base/progress.h"
#include "assay/base/result.h"
#include "assay/file/moments.h"
#include "assay/model/network.h"
#include "assay/text/windows.h"

namespace assay {

// The linear inputs in the order of the pass; process_output: also the head's.
std::vector<MomentInput> moment_inputs(const Network& network, bool process_output);

// One input's mean second moments, [width, width] float32, and the tokens they are over.
struct CollectedMoment {
  at::Tensor all;
  uint64_t tokens = 0;
  // Of the first, middle and last block: the same over the last quarter of the windows alone, to hold a choice against. Else undefined.
  at::Tensor held;
  uint64_t held_tokens = 0;
};
using MomentSink = std::function<Status(const MomentInput& input, const CollectedMoment& moment)>;

// Calls `sink` once per input from number `first` on, in order; those before it are passed through only.
Status collect_moments(const Network& network, std::span<const Window> windows, std::span<const MomentInput> inputs, size_t first,
                       const MomentSink& sink, Progress& progress = silent_progress());

// X^T X of x [tokens, width].
at::Tensor second_moment_sum(const at::Tensor& x);

}  // namespace assay
