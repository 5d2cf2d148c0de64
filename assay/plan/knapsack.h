// Multiple-choice knapsack: one item of every group, total bytes within a budget, least total damage (methods.md 5.6).
// Dominance pruning, Lagrangian bound from the convex hulls, greedy fill, then an exact search pruned by the bound under an
// effort limit. The same input gives the same choice, ties included. Non-goals: interactions between groups.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "assay/base/result.h"

namespace assay {

struct KnapsackItem {
  uint64_t bytes = 0;
  double damage = 0;  // finite
};
using KnapsackGroup = std::vector<KnapsackItem>;  // at least one item

struct KnapsackSolution {
  std::vector<size_t> choice;  // item per group
  uint64_t bytes = 0;
  double damage = 0;
  double bound = 0;    // proven: no solution is below this; equal to `damage` when exact
  double relaxed = 0;  // the Lagrangian bound: max over lambda of min(damage + lambda (bytes - budget))
  double lambda = 0;   // damage per byte at that maximum: what one byte more is worth
  bool exact = false;  // proven optimal (to the rounding of a double)
  // Relative to the damage reached.
  double gap() const { return damage != 0 ? (damage - bound) / std::abs(damage) : 0; }
};

struct KnapsackOptions {
  size_t max_states = 2'000'000;  // partial solutions kept in all before the exact search gives up; 0: no search. About 40 bytes each
};

// Errors: kUsage (an empty group; even the smallest items exceed the budget: the message names that size), kBadInput (a damage
// that is not finite, sizes whose sum overflows).
Result<KnapsackSolution> solve_knapsack(std::span<const KnapsackGroup> groups, uint64_t budget, const KnapsackOptions& options = {});

}  // namespace assay
