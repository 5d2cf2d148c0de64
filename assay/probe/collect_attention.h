// One forward of the unedited model over some windows, looked at in every head: diagnostics of all layers, moments of the chosen ones
// (attention_sums.h). Moments in float64, window by window; the largest weight, the context and the residual come from one blocked pass
// over the keys. Results do not depend on threads. Non-goals: changed models (sweep.h).
#pragma once

#include <span>
#include <vector>

#include "assay/base/progress.h"
#include "assay/base/result.h"
#include "assay/model/network.h"
#include "assay/probe/attention_sums.h"
#include "assay/text/windows.h"

namespace assay {

struct AttentionRequest {
  std::vector<int> moments;  // layers whose moments are summed
  bool diagnostics = true;   // of every layer
  // Queries are q + noise * std(q) * N(0, 1), q after norm and rotation, std over the head's queries of a window.
  double noise = 0.05;
  uint64_t seed = 0;          // random numbers are keyed by (seed, layer and head, window)
  uint64_t first_window = 0;  // number of the first window
};

// Errors: non-finite values (kBadInput), kInterrupted between windows.
Result<AttentionSums> collect_attention(const Network& network, std::span<const Window> windows, const AttentionRequest& request,
                                        Progress& progress = silent_progress());

}  // namespace assay
