// From a damage table and a budget to a plan: a recipe with its exact size, predicted damage, bound and gap.
// Every byte of the file counts: header, tensors, padding. Non-goals: making the table, interactions between tensors.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "assay/base/result.h"
#include "assay/plan/backend_types.h"
#include "assay/plan/budget.h"
#include "assay/plan/cross_reliability.h"
#include "assay/plan/damage_table.h"
#include "assay/plan/knapsack.h"
#include "assay/plan/quantize.h"

namespace assay {

// How fast a type runs, from a table: seconds (or any unit) per weight.
struct TypeSpeeds {
  std::map<GgmlType, double> per_weight;
  double most = 0;  // times the fastest recipe that the types allow; 0: no limit
};

struct AllocateConstraints {
  std::vector<GgmlType> types;                                          // allowed; empty: every type the table has
  std::optional<GgmlType> min_type;                                     // nothing with fewer bits per weight
  std::vector<std::pair<std::string, std::vector<GgmlType>>> types_of;  // regular expression -> allowed types; every one that matches holds
  std::vector<std::pair<std::string, GgmlType>> at_least;               // regular expression -> nothing with fewer bits per weight
  std::vector<std::pair<std::string, uint64_t>> device_bytes;           // regular expression -> most bytes of those tensors, padding too
  std::vector<std::vector<std::string>> fused;                          // roles of a block that must share a type: {"ffn_gate", "ffn_up"}
  TypeSpeeds speeds;
  const Backend* backend = nullptr;                    // types that it does not multiply with are not used; null: all are
  std::string solver = "exact";                        // solver.h
  std::vector<std::pair<std::string, GgmlType>> keep;  // regular expression found in names -> type; first match wins, over all else
};

// A limit beside the file's size, and what the plan takes of it.
struct PlanLimit {
  std::string name;  // the regular expression, or "time"
  double used = 0, most = 0;
  double price = 0;  // damage that one unit more would save
};

// One step of the size-damage curve: a row from one type to a larger one.
struct PlanUpgrade {
  std::string row;
  GgmlType from = GgmlType::kF32, to = GgmlType::kF32;
  uint64_t bytes = 0;  // more
  double saved = 0;    // damage, nats per token
};

// A row of the table and what it got.
struct PlanRow {
  std::string name;
  GgmlType type = GgmlType::kF32;  // of the members --keep does not name; if it names all, of the first
  uint64_t bytes = 0;              // of all its tensors, padding not counted
  double damage = 0;
};

// What interactions between rows do to a plan (allocate_interactions.h).
struct PlanInteractions {
  size_t terms = 0;              // of each cell
  double separable = 0;          // the plan's damage without them
  double separable_damage = 0;   // with them, of the plan that is best without them
  uint64_t evaluations = 0;      // exact ones of changes
  uint64_t moves = 0;            // of the local search
  bool all_pairs = false;        // no single change and no pair of changes within the budget is better
  CrossReliability reliability;  // of what the terms say of pairs
};

struct Plan {
  Recipe recipe;  // every matrix of the model
  uint64_t file_bytes = 0, tensor_bytes = 0, budget_bytes = 0;
  double bpw = 0;
  double predicted_damage = 0;                   // sum over the table's rows, nats per token
  double bound = 0;                              // no recipe within the budget and the constraints has less, by this table
  double gap = 0;                                // (predicted - bound) / predicted
  double relaxed_bound = 0;                      // the Lagrangian bound
  double lambda = 0;                             // nats per token that one byte more would save
  bool exact = false;                            // proven optimal
  std::string preset;                            // the solver took a preset's types: its name
  std::vector<PlanLimit> limits;                 // devices, time
  std::vector<PlanRow> rows;                     // in the table's order, those that share a type as one
  std::optional<PlanInteractions> interactions;  // where the plan counts them: then predicted_damage and bound do too
  std::vector<PlanUpgrade> next;                 // what a larger budget would buy first, most damage saved per byte first; at most 5
  std::vector<std::string> warnings;
};

// Types for every tensor of the table; matrices it does not know stay as stored. `budget`: bytes of the file (budget_bytes).
// Considered are the table's types that the rows can hold and that can be encoded (or are the stored ones), negative damages as 0, with a
// warning. Errors: kUsage (nothing fits: names the smallest possible file; a row with no type left: names the fewest constraints that
// contradict each other; a --keep that cannot be met), kMismatch (a table or a --keep of another model).
Result<Plan> allocate(const Checkpoint& checkpoint, const DamageTable& table, uint64_t budget, const AllocateConstraints& constraints,
                      const OutputRequest& request, const KnapsackOptions& effort = {});

// What allocate() decides: the rows that have a choice, their types with bytes (padding too) and damages, and what the budget leaves them.
struct AllocationRow {
  std::string name;
  std::vector<std::string> tensors;
  std::vector<GgmlType> types;
  KnapsackGroup items;
};
struct AllocationRows {
  std::vector<AllocationRow> rows;
  uint64_t budget = 0;
};
// Errors: those of allocate(), but for budgets; kUsage with limits beside the file's size.
Result<AllocationRows> allocation_rows(const Checkpoint& checkpoint, const DamageTable& table, uint64_t budget,
                                       const AllocateConstraints& constraints, const OutputRequest& request);

// The whole size-damage curve: its convex hull, where no recipe of that size is better, from the smallest recipe to the largest. Between
// two points the straight line is a bound.
struct FrontierPoint {
  uint64_t file_bytes = 0;
  double bpw = 0;
  double damage = 0;
  PlanUpgrade upgrade;  // that led here from the point before; no row at the first
};
struct Frontier {
  std::vector<FrontierPoint> points;  // ascending bytes
  std::vector<std::string> warnings;
};
// Errors: those of allocate(), but for budgets.
Result<Frontier> plan_frontier(const Checkpoint& checkpoint, const DamageTable& table, const AllocateConstraints& constraints,
                               const OutputRequest& request);

// Rows of single tensors whose roles must share a type become one row per block, with the types that all have; damages add up, standard
// errors in squares. Other rows stay.
DamageTable fused_rows(const DamageTable& table, std::span<const std::vector<std::string>> fused);

}  // namespace assay
