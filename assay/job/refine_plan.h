// Refines a plan by measuring (plan/refine_loop.h says what and when), then lets the recipes that could be best compete on windows that
// nothing was measured on (plan/successive_halving.h). Two ways to measure a type of a row, both with the codes that the file would have:
// alone, KL(model || model with the row changed), and beside the plan, KL of the plan with the row's other type less KL of the plan.
// Internal to job/.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "assay/job/recipe_variants.h"
#include "assay/job/refine_report.h"
#include "assay/plan/allocate.h"
#include "assay/plan/refine_budget.h"

namespace assay {

// The last quarter of the calibration windows, at least two, is for choosing among final recipes. kUsage: fewer than two are left.
struct WindowSplit {
  std::span<const Window> measuring, selection;
};
Result<WindowSplit> split_windows(std::span<const Window> windows);

struct NamedPlan {
  std::string name;
  Plan plan;
};

// All outlive the call.
struct RefineInputs {
  const OpenModel& model;
  RecipeVariants& variants;
  WindowSplit windows;
  UnitStore& store;
  MeasureOptions measure;    // depends_on: all that encoded changes depend on
  const DamageTable& table;  // of curvature, a row a tensor, with the stored types
  const Plan& start;         // by that table
  const AllocateConstraints& constraints;
  const OutputRequest& request;
  uint64_t seed = 0;
  std::vector<NamedPlan> others;  // recipes made in other ways, within the same budget: they compete too
};

struct RefinedPlans {
  std::vector<NamedPlan> plans;  // best first
  RefineReport report;
};

Result<RefinedPlans> refine_plan(const RefineInputs& inputs, const RefineBudget& budget, double threshold, Progress& progress);

// The plan that has these types, damages by the table; bound, prices and next upgrades are `best`'s, the best plan by the same table.
Result<Plan> plan_of_recipe(const Checkpoint& checkpoint, const DamageTable& table, const Recipe& recipe, const Plan& best,
                            const AllocateConstraints& constraints, const OutputRequest& request);

}  // namespace assay
