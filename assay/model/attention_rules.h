// Other rules for what a query head makes of its attention weights p over the values V (methods.md 2.11); the scores are the model's own.
// top-1: the value with the largest weight, the earliest of equals. top-k: softmax over the k largest scores. low-rank: top-1 plus the
// projection of what it leaves out, sum_i p_i V_i - V_top, on a given basis. Torch-free.
#pragma once

#include <cstdint>
#include <vector>

namespace assay {

struct HeadRule {
  enum class Kind : uint8_t { kFull, kTop1, kTopK, kLowRank };
  Kind kind = Kind::kFull;
  int k = 1;                   // kTopK: keys that stay
  std::vector<float> basis{};  // kLowRank: [rank, head_dim], orthonormal rows
};
using AttentionRules = std::vector<HeadRule>;  // one for each query head

// Keeps the k largest of n weights >= 0, the earlier of equals, and sets the others to 0; returns the sum of what is left.
float keep_largest(float* weights, int64_t n, int k);
// The first of the largest weights.
int64_t index_of_largest(const float* weights, int64_t n);
// context [head_dim] under kTop1 and kLowRank; `top`: the value with the largest weight, [head_dim].
void replace_context(const HeadRule& rule, const float* top, int64_t head_dim, float* context);

}  // namespace assay
