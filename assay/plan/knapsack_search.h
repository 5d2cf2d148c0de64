// The exact stage of the knapsack: partial solutions that differ from the relaxed optimum in a few groups, group by group, kept
// only while undominated and while their bound is below the best solution known. Pisinger's expanding core, SIAM J. Optim. 1995.
// Non-goals: pruning of items and the relaxed optimum itself (knapsack.cpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace assay {

// Another item of a group, against the item of the relaxed optimum.
struct KnapsackMove {
  uint32_t item = 0;
  int64_t bytes = 0;  // more (or fewer) bytes than the relaxed choice; never 0
  double cost = 0;    // damage change + lambda * bytes: >= 0
};

// A solution's excess over the Lagrangian bound is the sum of its moves' costs + lambda * unused bytes.
struct KnapsackCore {
  std::vector<std::vector<KnapsackMove>> groups;  // per group, its moves
  int64_t room = 0;                               // bytes the relaxed choice leaves unused, >= 0
  double lambda = 0;
  double excess = 0;  // of the best solution known
};

struct KnapsackImprovement {
  struct Change {
    size_t group;
    uint32_t item;
  };
  bool found = false;           // a solution with less excess than the one given
  std::vector<Change> changes;  // from the relaxed choice
  bool exact = false;           // the search was complete: nothing better exists
};

KnapsackImprovement search_core(const KnapsackCore& core, size_t max_states);

}  // namespace assay
