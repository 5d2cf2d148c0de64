// What refining a plan, or searching for one, did: part of OptimizeResult. Torch-free.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "assay/file/gguf.h"
#include "assay/plan/refine_loop.h"

namespace assay {

// A row whose type is another one than the curvature table alone would have given it. Damages in nats per token.
struct ChangedDecision {
  std::string row;
  GgmlType from = GgmlType::kF32, to = GgmlType::kF32;
  double predicted_from = 0, predicted_to = 0;  // curvature
  double known_from = 0, known_to = 0;          // after measuring
  std::string measured;                         // "alone", "beside the plan", or "no": what others taught about it
};

// A recipe of the final competition.
struct RefineCandidate {
  std::string name;
  uint64_t bytes = 0;
  double kl = 0;                     // on the windows of its last round
  uint64_t windows = 0, rounds = 0;  // of its last round; survived
};

// Costs in forward-equivalents: one run of the whole changed model on the windows measured on.
struct RefineReport {
  std::string asked;               // as given
  double seconds_per_forward = 0;  // timed once; 0: the budget was given in forward-equivalents
  double budget = 0, spent = 0;
  double selection_spent = 0;  // of the final competition, beside the budget
  uint64_t measuring_windows = 0, selection_windows = 0;
  double threshold = 0;                  // share of the damage that the regret may have
  double damage_before = 0, damage = 0;  // of the plan, as known then
  double regret_before_mean = 0, regret_before = 0, regret_mean = 0, regret = 0;
  bool settled = false;
  uint64_t cells = 0, cells_alone = 0, cells_beside = 0;  // that had something to learn; measured
  double bias = 1, spread = 0, context = 1, context_spread = 0;
  std::vector<RefineRound> rounds;
  std::vector<ChangedDecision> decisions;   // most damage at stake first
  std::vector<RefineCandidate> candidates;  // best first
};

struct SearchReport {
  std::string solver;
  uint64_t generations = 0, offspring = 0;
  uint64_t recipes = 0;    // measured, in any round
  double forwards = 0;     // forward-equivalents on all calibration windows
  std::vector<double> kl;  // of the fittest, by generation
};

}  // namespace assay
