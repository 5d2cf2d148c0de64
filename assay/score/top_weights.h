// The k weights of a model with the greatest score, matrix by matrix, in memory of k: exact, and the same whatever the order of matrices.
// Torch-free. Non-goals: the scores.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace assay {

struct RankedWeight {
  uint32_t matrix = 0;  // the caller's number of it
  uint64_t index = 0;   // row-major in it
  double score = 0;
};

// Higher scores first, then by matrix and index: no two are equal.
bool ranks_before(const RankedWeight& a, const RankedWeight& b);

class TopWeights {
 public:
  explicit TopWeights(uint64_t k) : k_(k) {}
  // NaN is left out.
  void add(uint32_t matrix, uint64_t index, double score);
  void merge(const TopWeights& other);
  // Best first.
  std::vector<RankedWeight> ranked() const;

 private:
  uint64_t k_;
  std::vector<RankedWeight> kept_;  // a heap, the worst in front, once there are k
};

}  // namespace assay
