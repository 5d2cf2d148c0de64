// What zeroed weights move in the residual stream, block after block, over all tokens of a few prompts (methods.md 2.7, 2.10), and how the
// published form of the full patch adds what is restored already. Internal to job/.
#pragma once

#include <span>
#include <vector>

#include "assay/job/outlier_runner.h"

namespace assay {

// Sets `tracked` and both stabilities of the rows `some`. One sweep of as many rows as memory takes; a unit each.
Status track(OutlierRunner& runner, std::vector<OutlierRow>& rows, const std::vector<size_t>& some, OutlierResult& result);

// For the rows `some` whose weight is in a block: at each block from its own on, the part of -delta in (patched stream - model's stream).
Result<std::vector<OutlierOvershoot>> measure_overshoot(OutlierRunner& runner, const std::vector<OutlierRow>& rows,
                                                        const std::vector<size_t>& some);

}  // namespace assay
