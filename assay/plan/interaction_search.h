// Local search of the interaction objective: from a choice within the budget to one that no examined move improves. In rounds: all single
// changes and pairs of changes are evaluated (of pairs, where there are many, one that grows and saves with the cheapest that free enough),
// then taken, most damage saved first, each evaluated again before. Internal to plan/: solve_interactions.h calls it.
#pragma once

#include <cstdint>
#include <vector>

#include "assay/plan/interaction_objective.h"
#include "assay/plan/solve_interactions.h"

namespace assay {

struct InteractionSearch {
  std::vector<size_t> choice;
  double damage = 0;
  uint64_t evaluations = 0, moves = 0;
  bool all_pairs = false;
};

InteractionSearch search_interactions(const InteractionObjective& objective, const std::vector<std::vector<uint64_t>>& bytes,
                                      uint64_t budget, std::vector<size_t> start, const InteractionOptions& options);

}  // namespace assay
