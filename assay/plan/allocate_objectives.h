// Plans by more than one table's damages: upper damages (robust), and the worst of several calibration texts (domains).
// Non-goals: interactions (allocate_interactions.h).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "assay/plan/allocate.h"

namespace assay {

// A plan for damage + z x standard error, beside the plain one. `mean`: by the table's damages; `upper`: by the upper ones.
struct RobustPlan {
  Plan plan;  // its damage, bound and gap are upper ones
  double mean = 0, upper = 0;
  double plain_mean = 0, plain_upper = 0;  // of the plan that minimises the mean
  std::vector<std::string> unknown;        // cells without a standard error, counted at their mean
};
// z: 0 or more. Errors: those of allocate(); kUsage (a negative z).
Result<RobustPlan> allocate_robust(const Checkpoint& checkpoint, const DamageTable& table, double z, uint64_t budget,
                                   const AllocateConstraints& constraints, const OutputRequest& request);

// What a plan's types cost by another table with the same rows and types, counting what the plan counts.
double damage_by(const DamageTable& table, const Plan& plan, const AllocateConstraints& constraints);

struct WorstPlan {
  Plan plan;                    // its damage, bound and gap are of the worst domain
  std::vector<double> damages;  // of each
  std::vector<double> weights;  // of the domains in the bound
};
// Of aligned tables (table_objectives.h). Errors: those of allocate(); kUsage (several limits, a solver but "exact").
Result<WorstPlan> allocate_worst(const Checkpoint& checkpoint, std::span<const DamageTable> tables, uint64_t budget,
                                 const AllocateConstraints& constraints, const OutputRequest& request);

}  // namespace assay
