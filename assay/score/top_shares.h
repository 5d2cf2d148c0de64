// How much of a sum over weights its largest terms hold. Torch-free. Non-goals: the terms.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace assay {

// The parts of the weights that PQI's source keeps at high precision, and compares measures on (methods.md 6.4).
inline constexpr std::array kTopParts = {0.0015, 0.0071, 0.0525};

// How much of sum |c| the largest |c| hold, for any number of weights in one pass: counts and sums by size, in bins 0.1 % wide. Within
// the one bin where a top part ends, weights count as equal. Add, merge, read. 4 MiB.
class TopShares {
 public:
  TopShares();
  void add(std::span<const float> values);  // finite
  void merge(const TopShares& other);
  uint64_t count() const { return count_; }
  double total() const;
  // Of the total: what the largest `part` (0 to 1) of the weights hold; 0 where the total is.
  double share(double part) const;

 private:
  std::vector<uint64_t> counts_;
  std::vector<double> sums_;
  uint64_t count_ = 0;
};

}  // namespace assay
