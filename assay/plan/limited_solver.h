// A type for every group under several limits at once: bytes on one device and on another, bytes in all, time per token. Lagrangian bound
// by subgradients, one price per limit; recipes repaired and filled at those prices, then exchanges of two groups. The gap is always told;
// one limit alone is solved exactly elsewhere (knapsack.h). A pure function of the problem. Torch-free.
// Non-goals: what uses come from (plan_limits.h).
#pragma once

#include <string>
#include <vector>

#include "assay/base/result.h"

namespace assay {

struct LimitedItem {
  double damage = 0;
  std::vector<double> use;  // of each limit; 0: none
};
struct UseLimit {
  std::string name;  // "GPU", "bytes", "time"
  double most = 0;
};
struct LimitedProblem {
  std::vector<std::vector<LimitedItem>> groups;
  std::vector<UseLimit> limits;
};

struct LimitedSolution {
  std::vector<size_t> choice;
  double damage = 0;
  double bound = 0;            // no choice within the limits has less
  std::vector<double> use;     // of each limit
  std::vector<double> prices;  // damage per unit of each limit: what one unit more would save
  double gap() const { return damage > 0 ? (damage - bound) / damage : 0; }
};

struct LimitedOptions {
  int rounds = 400;  // of the bound
};

// Errors: kUsage where no choice keeps to all limits, or none was found: names a smallest set of limits that contradict each other and what
// each needs at least; kBadInput (numbers that are not finite).
Result<LimitedSolution> solve_limited(const LimitedProblem& problem, const LimitedOptions& options = {});

}  // namespace assay
