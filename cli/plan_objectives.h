// What `assay plan` minimises: one table's damages, upper damages, several texts' tables, damages with interactions, or RAMP's proxy; and
// how its result says so.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "assay/plan/allocate.h"
#include "assay/plan/model_tensors.h"
#include "cli/command.h"
#include "cli/plan_proxy.h"

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

class PlanObjective {
 public:
  // Reads the tables, or what RAMP's proxy is made of. `types`: for the proxy, as parse_types() has them.
  // `force`: tables of another model are taken, with a warning. Errors: kMismatch (tables of another model, or unlike each other).
  static Result<PlanObjective> open(const ObjectiveArguments& arguments, const ProxyArguments& proxy, const ModelTensors& model,
                                    const std::vector<GgmlType>& types, bool force);

  Result<ObjectivePlan> solve(const Checkpoint& checkpoint, uint64_t budget, const AllocateConstraints& constraints) const;
  // One table for the whole curve: the tables' mean or weighted sum, upper damages with --robust. kUsage: worst, interactions.
  Result<DamageTable> curve_table() const;
  const DamageTable& table() const { return table_; }  // the tables weighted
  // What the tables say of themselves that a reader must know.
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  Result<ObjectivePlan> of_tables(const Checkpoint& checkpoint, uint64_t budget, const AllocateConstraints& constraints) const;
  bool is_worst() const { return arguments_.domains == "worst" && tables_.size() > 1; }

  ObjectiveArguments arguments_;
  std::vector<DamageTable> tables_;  // of one model, rows and types; the proxy's alone
  std::vector<double> weights_;      // of the tables; with worst: alike
  DamageTable table_;                // all of them, weighted
  std::optional<ProxyObjective> proxy_;
  std::vector<std::string> warnings_;
};

}  // namespace assay::cli
