// A type for every group, bytes within a budget, least damage in the worst of several domains: min over choices of the largest of their
// sums. Bound: any weights of the domains that add up to 1 make one knapsack whose optimum is never above; the weights climb by
// subgradients of Polyak's length. Recipes are those knapsacks' and what changes of one group, and of two where there are few enough, make
// of the best. A pure function of its input. Torch-free.
#pragma once

#include <cstdint>
#include <vector>

#include "assay/base/result.h"

namespace assay {

struct WorstProblem {
  std::vector<std::vector<uint64_t>> bytes;               // [group][item]
  std::vector<std::vector<std::vector<double>>> damages;  // [domain][group][item]
  std::vector<double> fixed;                              // damage of each domain that no choice changes
  uint64_t budget = 0;
};

struct WorstSolution {
  std::vector<size_t> choice;
  double damage = 0;            // the largest of `damages`
  std::vector<double> damages;  // of each domain
  double bound = 0;             // no choice within the budget has less in its worst domain
  std::vector<double> weights;  // of the domains, where the bound is
  double lambda = 0;            // damage per byte there
  double gap() const { return damage > 0 ? (damage - bound) / damage : 0; }
};

struct WorstOptions {
  int starts = 12;                 // best recipes of those, improved
  int rounds = 150;                // of the bound
  uint64_t all_pairs = 4'000'000;  // pairs of changes up to which all are examined; above, changes of one group alone
  size_t max_states = 500'000;     // of the knapsack at the best weights (knapsack.h)
};

// Errors: those of solve_knapsack().
Result<WorstSolution> solve_worst(const WorstProblem& problem, const WorstOptions& options = {});

}  // namespace assay
