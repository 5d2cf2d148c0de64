// Scores that are sums over the weights of a matrix, weight by weight (methods.md 3.3 to 3.8): who takes the terms, and the loop that makes
// them. A score says has_weight_values() and gives the terms of its value() beside it (score_run.h, gradient_scores.h). Torch-free.
// Non-goals: what becomes of them (job/weight_files.h).
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "assay/base/parallel.h"
#include "assay/score/score_run.h"

namespace assay {

// A matrix whose weights will come, at these types; a score that does not go by types has none of them.
struct WeightedMatrix {
  MatrixShape shape;
  std::vector<GgmlType> types;
};

class WeightSink {
 public:
  virtual ~WeightSink() = default;
  // Whether the terms of this score are wanted; false for those that have none.
  virtual bool wants(const Score& score) const = 0;
  // Before the first of a score's terms: all that will come.
  virtual Status expect(const Score& score, std::span<const WeightedMatrix> matrices) = 0;
  // Terms of one matrix, laid out as it is; each once, matrices in any order. Thread-safe.
  virtual Status take(const Score& score, std::optional<GgmlType> type, const std::string& tensor, std::span<const float> terms) = 0;
};

// out[i] = term(i), a double. threads: 0 takes all.
template <class Term>
void fill_weights(std::span<float> out, int threads, const Term& term) {
  constexpr size_t kBlock = size_t{1} << 16;
  parallel_for((out.size() + kBlock - 1) / kBlock, threads, [&](size_t block) {
    const size_t end = std::min((block + 1) * kBlock, out.size());
    for (size_t i = block * kBlock; i < end; ++i) out[i] = static_cast<float>(term(i));
  });
}

}  // namespace assay
