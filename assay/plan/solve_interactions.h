// A type for every group, bytes within a budget, least damage with interactions (interaction_objective.h).
// Bound: 1/2 |s|^2 >= s.y - 1/2 |y|^2 for every y, so the knapsack of own + t.y less 1/2 |y|^2 is never above the optimum; y is improved by
// Frank-Wolfe steps that keep their vertices (Frank and Wolfe 1956; von Hohenbalken 1977). It is the optimum over mixtures of recipes, in
// which errors of several types of one group cancel: expect a gap. Local search starts from the separable optimum, from problems linearised
// at the choices met, and from the steps' own choices: single changes and pairs, each evaluated exactly before it is taken.
// A pure function of its input, threads included.
#pragma once

#include <cstdint>
#include <vector>

#include "assay/base/result.h"
#include "assay/plan/interaction_objective.h"

namespace assay {

struct InteractionOptions {
  int bound_steps = 40;              // each a product with every cell's terms and a knapsack
  int starts = 6;                    // best choices met, searched from, beside the separable optimum
  uint64_t many_terms = 20'000'000;  // terms of all cells: where there are more, only the best choice is searched from
  uint64_t all_pairs = 100'000;      // up to so many pairs of changes, all are examined; above, the most promising partners of each
  size_t partners = 4;               // then: so many
  double least_gain = 1e-7;          // of the damage: moves that save less are not taken; below 1e-12 is rounding
  size_t max_states = 500'000;       // of the exact knapsacks at both ends (knapsack.h)
  int threads = 0;                   // 0: all
};

struct InteractionSolution {
  std::vector<size_t> choice;  // item of each group
  uint64_t bytes = 0;
  double damage = 0;            // with interactions
  double separable = 0;         // the same choice, sum of damages
  double bound = 0;             // no choice within the budget has less damage with interactions
  double lambda = 0;            // damage per byte in the problem linearised at the choice
  double separable_damage = 0;  // with interactions: of the choice that is best without them
  uint64_t evaluations = 0;     // exact ones of a change or a pair
  uint64_t moves = 0;           // taken
  bool all_pairs = false;       // no single change and no pair within the budget improves; else none of those examined
  double gap() const { return damage > 0 ? (damage - bound) / damage : 0; }
};

// `bytes`: of each group's items. Errors: those of solve_knapsack().
Result<InteractionSolution> solve_interactions(const InteractionObjective& objective, const std::vector<std::vector<uint64_t>>& bytes,
                                               uint64_t budget, const InteractionOptions& options = {});

}  // namespace assay
