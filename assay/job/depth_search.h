// Which half-blocks to leave out, by evolution (EvoPress, methods.md 2.12): as many attention halves as feed-forward halves, the fitness is
// KL on the study's text. Seeded. Internal to job/.
#pragma once

#include <vector>

#include "assay/job/qpsa_runner.h"

namespace assay {

struct DepthSearchResult {
  std::vector<int> attention, ffn;  // left out
  double kl = 0, nll_difference = 0;
  int generations = 0;
};

// Leaves out `k` halves of each kind, of these layers.
Result<DepthSearchResult> search_half_blocks(QpsaRunner& runner, const std::vector<int>& layers, int k, uint64_t seed);

}  // namespace assay
