// Quantiles and tail means of a stream of floats in bounded memory: exact up to `exact_limit` values, above that a compacting sketch of
// the KLL family (Karnin, Lang, Liberty, "Optimal quantile approximation in streams", FOCS 2016) with equal buffers on every level.
// A compaction sorts one level's `width` values of weight 2^level and passes every second one on at twice the weight; it moves the rank
// of any value by at most 2^level. The sum of these is kept, so the stated bound is certain, not a probability:
// rank_error() <= (n / width) (1 + log2(n / width)), 2.3e-4 n at n = 1e9. The start of every second compaction is drawn from the seed
// and the next one takes the other, so that real errors mostly cancel. Same values in the same order, same result.
// Memory: 4 bytes for each of max(exact_limit, width (2 + log2(n / width))) values. Smallest and largest value are always exact.
// Non-goals: windows in time, weights, NaN (dropped by the caller).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace assay {

struct SketchOptions {
  size_t exact_limit = 1'000'000;  // values kept as they are
  size_t width = 65'536;           // values per level above it; even, at least 2
  uint64_t seed = 0;
};

// The values in ascending order, each standing for `weight` ranks: quantiles and tails are read from it.
class RankedValues {
 public:
  uint64_t count() const { return ends_.empty() ? 0 : ends_.back(); }
  // Value at quantile f in [0, 1], linearly interpolated at index f (n - 1) of the sorted values; 0 for none.
  double quantile(double f) const;
  // Mean of the k = max(1, ceil(alpha n)) largest values (methods.md 1.4); 0 for none. With a rank error E of the sketch it is within
  // (E / k) (largest value - exact value at quantile 1 - alpha - E / n) of the exact one.
  double tail_mean(double alpha = 0.05) const;

 private:
  friend class QuantileSketch;
  double at_rank(uint64_t rank) const;
  std::vector<float> values_;   // ascending
  std::vector<uint64_t> ends_;  // ranks up to and including this value: cumulative weight
  float smallest_ = 0, largest_ = 0;
};

class QuantileSketch {
 public:
  explicit QuantileSketch(const SketchOptions& options = {}) : options_(options) {}
  void add(float value);
  // Both with equal options. The rank errors add up.
  void merge(const QuantileSketch& other);

  uint64_t count() const { return count_; }
  bool exact() const { return levels_.empty(); }
  // No value's rank is off by more than this many places; 0 while exact.
  uint64_t rank_error() const { return rank_error_; }
  size_t values_held() const;
  RankedValues ranked() const;

 private:
  void put(size_t level, float value);
  void leave_exact();
  void compact(size_t level);

  struct Level {
    std::vector<float> values;  // each stands for 2^level
    uint64_t compactions = 0;
    bool odd = false;  // which half the last compaction passed on
  };
  SketchOptions options_;
  std::vector<float> exact_;   // in the order they came, while exact
  std::vector<Level> levels_;  // empty while exact
  uint64_t count_ = 0;
  uint64_t rank_error_ = 0;
  float smallest_ = 0, largest_ = 0;
};

}  // namespace assay
