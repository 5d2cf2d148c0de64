// Mean, second and fourth central moment and extremes of a run of weights: what several data-free scores are made of. Two passes, so
// that central moments keep their digits.
#pragma once

#include <cstdint>
#include <span>

namespace assay {

struct WeightMoments {
  uint64_t count = 0;
  double mean = 0;
  double m2 = 0, m4 = 0;  // central, divided by count
  double sum_squares = 0;
  float largest = 0;  // of |w|
};

WeightMoments weight_moments(std::span<const float> values, int threads);

// Fisher's excess kurtosis with the biased estimator, m4 / m2^2 - 3 (methods.md 3.9); 0 where all weights are alike.
double excess_kurtosis(const WeightMoments& moments);
// The unbiased one of scipy and pandas (methods.md 3.10); 0 for fewer than 4 values or all alike.
double unbiased_kurtosis(const WeightMoments& moments);

}  // namespace assay
