// Finding super weights (arXiv 2411.07191; methods.md 3.13): weights of ffn_down that make a massive activation. One forward of a short
// prompt; the first block with a spike in both the input and the output of its ffn_down gives (channel of the output's largest entry,
// channel of the input's); the weight is taken out and the search begins anew until no block has both: two forwards for one super weight.
// Non-goals: what removing it costs (a variant tells), the score by block (super_weight_torch.cpp).
#pragma once

#include <cstdint>
#include <vector>

#include "assay/base/result.h"
#include "assay/model/network.h"
#include "assay/text/windows.h"

namespace assay {

inline constexpr size_t kSuperWeightTokens = 16;    // of the prompt that are used
inline constexpr double kSuperWeightSpike = 50;     // the source's
inline constexpr uint64_t kSuperWeightRounds = 16;  // at most

struct SuperWeight {
  int layer = 0;
  int64_t row = 0, column = 0;  // of ffn_down [d, d_ff]
  double weight = 0;
};

struct SuperWeightSearch {
  std::vector<SuperWeight> found;
  std::vector<double> grades;  // per block of the unedited model: min(max|input|, max|output|) / spike; above 1: the rule fires
  uint64_t rounds = 0;         // forwards of the prompt
  bool complete = true;        // false: it ended after kSuperWeightRounds, there may be more
};

// Of the prompt's first tokens. Errors: those of a forward.
Result<SuperWeightSearch> find_super_weights(const Network& network, const Window& prompt, double spike = kSuperWeightSpike);

}  // namespace assay
