// Multiple-choice knapsack: one item of every group, total bytes within a budget, least total damage (methods.md 5.6).
// Lagrangian bound, greedy fill, then an exact merge of Pareto lists pruned by the bound, under an effort limit.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "assay/base/result.h"

namespace assay {

struct KnapsackItem {
  uint64_t bytes = 0;
  double damage = 0;  // finite, >= 0
};
using KnapsackGroup = std::vector<KnapsackItem>;  // at least one item

struct KnapsackSolution {
  std::vector<size_t> choice;  // item per group
  uint64_t bytes = 0;
  double damage = 0;
  double bound = 0;    // no solution is below this
  double lambda = 0;   // damage per byte at the bound
  bool exact = false;  // proven optimal
  double gap() const { return damage > 0 ? (damage - bound) / damage : 0; }
};

struct KnapsackOptions {
  size_t max_states = 200'000;  // Pareto states kept at once before the exact stage gives up
};

// Error: kUsage if even the smallest items exceed the budget; the message names that size.
Result<KnapsackSolution> solve_knapsack(std::span<const KnapsackGroup> groups, uint64_t budget, const KnapsackOptions& options = {});

}  // namespace assay
