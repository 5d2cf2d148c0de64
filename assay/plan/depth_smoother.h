// A quantity of the tensors of a model, guessed where it is unknown from those of its role and of its neighbourhood in depth.
// A Gaussian process: a level of the model, one of each role, and two walks over depth, one that all roles share and one of each role
// (covariance exp(-|difference of layers| / length)), with noise of its own for each tensor. Length, noise and the share of the common
// walk are chosen from a small grid by leaving whole blocks out, since that is what is usually missing, and the scale of all
// variances is that of the errors so found; on some roles alone where there are many tensors. O(n^3). Deterministic.
// Non-goals: heavy tails (one wild tensor moves its neighbours), what the quantity is.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace assay {

struct DepthPoint {
  size_t role = 0;
  int layer = -1;  // -1: outside the blocks, no neighbourhood
};

struct DepthGuess {
  double value = 0;
  double variance = 0;  // of the tensor's own quantity, its noise included
};

// Guesses at `wanted` from values at `known` (as many, at least one).
std::vector<DepthGuess> smooth_over_depth(std::span<const DepthPoint> known, std::span<const double> values,
                                          std::span<const DepthPoint> wanted);

// The line between the nearest known layers of the role, the nearest one beyond them; without any of the role in the blocks, the median of
// all. What a table's reader would do by hand.
std::vector<double> line_over_depth(std::span<const DepthPoint> known, std::span<const double> values, std::span<const DepthPoint> wanted);

// The median of the role, or of all.
std::vector<double> role_medians(std::span<const DepthPoint> known, std::span<const double> values, std::span<const DepthPoint> wanted);

}  // namespace assay
