// How much to add to the diagonal of second moments, chosen by what codes made with them do on tokens they have not seen.
#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

#include "assay/base/result.h"

namespace assay {

inline constexpr double kDampings[] = {0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1};

// Some rows of a matrix that reads the input, and its second moments over two sets of tokens; [rows, k], [k, k] twice.
struct DampingTrial {
  at::Tensor weight, seen, unseen;
};
// The error of feedback codes (Q4_0: no other format's scales are as plain) on the unseen tokens, for each of kDampings.
Result<std::vector<double>> damping_errors(const DampingTrial& trial);
// The damping with the least product of errors over several trials; errors[trial][damping].
double best_damping(std::span<const std::vector<double>> errors);

}  // namespace assay
