// What `assay plan` minimises: one table's damages, upper damages, several texts' tables, or damages with interactions; and how its result
// says so.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "assay/plan/allocate.h"
#include "cli/command.h"

namespace assay::cli {

struct ObjectiveArguments {
  std::vector<std::string> tables;  // files
  std::string interactions;         // file of terms
  std::optional<double> robust;     // standard errors
  std::string domains = "mean";     // or "worst", or weights
};

// Declares --table, --interactions, --robust and --domains; returns --table.
CLI::Option* add_objective_options(CLI::App& app, ObjectiveArguments& arguments);

struct ObjectivePlan {
  Plan plan;
  Json facts = Json::object();  // joins the result
  std::string text;
};
Result<ObjectivePlan> plan_by_objective(const ObjectiveArguments& arguments, const Checkpoint& checkpoint, uint64_t budget,
                                        const AllocateConstraints& constraints);

// One table for the whole curve: the tables' mean or weighted sum, upper damages with --robust. kUsage: worst, interactions.
Result<DamageTable> table_of_objective(const ObjectiveArguments& arguments);

}  // namespace assay::cli
