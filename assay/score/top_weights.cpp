#include "assay/score/top_weights.h"

#include <algorithm>
#include <cmath>

namespace assay {

bool ranks_before(const RankedWeight& a, const RankedWeight& b) {
  if (a.score != b.score) return a.score > b.score;
  return a.matrix != b.matrix ? a.matrix < b.matrix : a.index < b.index;
}

void TopWeights::add(uint32_t matrix, uint64_t index, double score) {
  if (std::isnan(score) || k_ == 0) return;
  const RankedWeight weight{matrix, index, score};
  if (kept_.size() < k_) {
    kept_.push_back(weight);
    if (kept_.size() == k_) std::make_heap(kept_.begin(), kept_.end(), ranks_before);
    return;
  }
  if (score < kept_.front().score || !ranks_before(weight, kept_.front())) return;
  std::pop_heap(kept_.begin(), kept_.end(), ranks_before);
  kept_.back() = weight;
  std::push_heap(kept_.begin(), kept_.end(), ranks_before);
}

void TopWeights::merge(const TopWeights& other) {
  for (const RankedWeight& one : other.kept_) add(one.matrix, one.index, one.score);
}

std::vector<RankedWeight> TopWeights::ranked() const {
  std::vector<RankedWeight> sorted = kept_;
  std::sort(sorted.begin(), sorted.end(), ranks_before);
  return sorted;
}

}  // namespace assay
