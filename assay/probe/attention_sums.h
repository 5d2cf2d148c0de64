// What the heads of a model look at on a text, as sums (methods.md 2.11): how near to one-hot they are, and second moments of what a basis
// of their residual can be made from. residual = sum_i p_i V_i - V_top, the context less the value with the largest weight.
// Add two, write, read. Torch-free. Non-goals: making them (collect_attention.h), bases (attention_basis.h).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"

namespace assay {

// Query positions before this one see too few keys to say how peaked a head is (the source's rule).
inline constexpr int64_t kFirstDiagnosed = 16;

// Of one query head; sums over query positions >= kFirstDiagnosed.
struct HeadDiagnostics {
  uint64_t queries = 0;
  double ratio = 0;     // p_2 / p_1
  double margin = 0;    // p_1 - p_2
  uint64_t stable = 0;  // queries whose largest weight stays where it is under noise
};

// Sums of x x^T [d, d], row after row, and of x over `count` rows.
struct SecondMoment {
  uint64_t count = 0;
  std::vector<double> square, sum;
  void add(const SecondMoment& other);
};

// Of one layer: by query head the first two, by head of keys the last.
struct LayerMoments {
  std::vector<SecondMoment> residual, context, values;
};

struct AttentionSums {
  int layers = 0, heads = 0;
  std::vector<HeadDiagnostics> diagnostics;  // [layers * heads]
  std::map<int, LayerMoments> moments;       // of the layers asked for
  const HeadDiagnostics& of(int layer, int head) const { return diagnostics[static_cast<size_t>(layer * heads + head)]; }
  void add(const AttentionSums& other);
};

Result<std::string> to_payload(const AttentionSums& sums);
Result<AttentionSums> attention_sums_from_payload(std::string_view payload);

}  // namespace assay
