// Refinement as a loop: solve, see what the plan may lose, measure what is worth it, again. Torch-free: who runs models hands in what
// measures. The same answers give the same plan. Non-goals: final choice among recipes (successive_halving.h), running models
// (job/refine_plan.h).
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "assay/base/result.h"
#include "assay/plan/refine_choice.h"

namespace assay {

struct RefineOptions {
  double budget = 0;           // forward-equivalents
  double least_regret = 0.01;  // stop where the bound is below this share of the plan's damage
  double round_share = 0.1;    // of the budget, per round
  uint64_t draws = 64;
  uint64_t seed = 0;
};

// Values of a batch's tasks: damages alone, or differences to the plan's own cell of the row.
using RefineMeasure =
    std::function<Result<std::vector<RefineMeasured>>(RefineWay way, const RowChoice& plan, std::span<const RefineTask> tasks)>;

struct RefineRound {
  RefineWay way = RefineWay::kAlone;
  uint64_t cells = 0;
  double cost = 0;
  double regret_mean = 0, regret_high = 0;  // after it
  uint64_t moved = 0;                       // rows whose type it changed
};

struct RefineOutcome {
  RowChoice start, plan;
  double damage_before = 0, damage = 0;  // of the plans by the posterior before any measurement, and at the end
  RegretBound before, after;
  Posterior posterior;
  double spent = 0;
  std::vector<RefineRound> rounds;
  std::vector<RowChoice> plans;  // of every round, each once, the start first
  bool settled = false;          // the bound is below the threshold, or nothing is worth its cost
};

// Measurements are kept in `problem`.
Result<RefineOutcome> refine(RefineProblem& problem, const RefineOptions& options, const RefineMeasure& measure);

}  // namespace assay
