// Which weights are looked at: those far from their matrix's others (methods.md 2.9), and for each some that differ from it in nothing but
// that they were not chosen. Exact, matrix by matrix, without sorting a matrix. Torch-free. Non-goals: measuring them.
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <vector>

#include "assay/probe/variant.h"
#include "assay/score/top_weights.h"

namespace assay {

// Of an even number of values the lower of the two in the middle, as torch.median. By counting the values' bits twice; no copy.
// Not empty, no NaN.
float lower_median(std::span<const float> values);
// The lower median of |value - centre|, in float32.
float lower_median_distance(std::span<const float> values, float centre);

// score(w) = |w - median| / (MAD + 1e-8) of one matrix.
struct RobustScale {
  float median = 0, mad = 0;
  double score(float weight) const;
};
RobustScale robust_scale(std::span<const float> values);
void add_robust(uint32_t matrix, std::span<const float> values, TopWeights& top);

// What a control shares with its target beside the matrix: each difference in units of that number's standard deviation in the matrix.
struct MatchOptions {
  bool magnitude = true;  // |w| too, which the source leaves out
  uint64_t pool = 0;      // weights drawn from the matrix to choose among; 0: all
  uint64_t seed = 0;
};

struct Control {
  uint64_t index = 0;   // row-major
  double distance = 0;  // sum of the standardised differences
};

// A matrix [rows, columns] with what its weights are matched by; views `values`.
class MatrixFacts {
 public:
  // activations: mean square of each input column, or empty: then they count for nothing.
  MatrixFacts(std::span<const float> values, uint64_t rows, uint64_t columns, std::span<const float> activations = {});

  uint64_t rows() const { return row_norms_.size(); }
  uint64_t columns() const { return column_norms_.size(); }
  double row_norm(uint64_t row) const { return row_norms_[row]; }
  double column_norm(uint64_t column) const { return column_norms_[column]; }
  float weight(uint64_t index) const { return values_[index]; }
  double activation(uint64_t column) const { return activations_.empty() ? 0 : activations_[column]; }  // root of the mean square
  double distance(uint64_t target, uint64_t other, bool magnitude) const;

  // The `count` nearest to the target among those not in `used` (row-major indices), nearest first, ties by index; fewer where the matrix
  // has no more. Neither the target nor anything of its matrix in `used` is given.
  std::vector<Control> controls(uint64_t target, size_t count, const std::set<uint64_t>& used, const MatchOptions& options) const;

 private:
  std::span<const float> values_;
  std::vector<double> row_norms_, column_norms_, activations_;
  double row_unit_ = 1, column_unit_ = 1, weight_unit_ = 1, activation_unit_ = 1;  // standard deviations + 1e-8
};

}  // namespace assay
