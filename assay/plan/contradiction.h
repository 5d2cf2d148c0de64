// Which constraints cannot be met together: the fewest of them that leave nothing. A pure function. Non-goals: limits of sums, such as
// bytes (limited_solver.h).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace assay {

// allows[c][i]: constraint c allows choice i; all have as many choices. Places of the fewest constraints that together allow none, the
// first such set in ascending order; empty where some choice is allowed by all, or there is no choice at all. Exact up to 16 constraints;
// beyond, one that no constraint can be taken out of.
std::vector<size_t> smallest_contradiction(std::span<const std::vector<bool>> allows);

}  // namespace assay
