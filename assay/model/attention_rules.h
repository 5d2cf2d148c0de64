// Other rules for what a query head makes of its attention weights p over the values V (methods.md 2.11); the scores are the model's own.
// top-1: the value with the largest weight, the earliest of equals. top-k: softmax over the k largest scores. low-rank: top-1 plus the
// projection of what it leaves out, sum_i p_i V_i - V_top, on the first directions of a basis. Torch-free.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace assay {

struct HeadRule {
  enum class Kind : uint8_t { kFull, kTop1, kTopK, kLowRank };
  Kind kind = Kind::kFull;
  int k = 1;                                             // kTopK: keys that stay; kLowRank: directions of the basis in use
  std::shared_ptr<const std::vector<float>> basis = {};  // kLowRank: orthonormal rows [at least k, head_dim], shared by the ranks
};
using AttentionRules = std::vector<HeadRule>;  // one for each query head

// Whether a rule needs the context sum_i p_i V_i.
inline bool needs_context(const HeadRule& rule) { return rule.kind == HeadRule::Kind::kFull || rule.kind == HeadRule::Kind::kLowRank; }

// The places of the min(k, n) largest of n weights, largest first, the earlier of equals first.
void find_largest(const float* weights, int64_t n, int k, std::vector<int64_t>& places);
// The first of the largest weights.
int64_t index_of_largest(const float* weights, int64_t n);

}  // namespace assay
