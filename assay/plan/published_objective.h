// Damages of every tensor at every wanted type from what others published: a table of one-at-a-time measurements with gaps
// (kld_results.csv), the whole model's damage at each type (group0) and the tensors' names and shapes (a tensor map).
//   rank-1  the GGUF tool suite's: sensitivity of the tensor times one curve for all, group0's, for measured cells too
//   roles   measured cells as they are; others from a curve of the role (type_curve.h)
// Tensors that were not measured take their sensitivity from their role and depth. Tensors that were measured together are one row.
// Damages are nats per token less the offset that the fit finds in the table, so that a type without loss has damage 0.
// What no model mends: the tables have no error bars, and sums of one-at-a-time damages ignore interactions.
// Non-goals: choosing types (published_plan.h), reading files (score/published_truth.h).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/plan/damage_table.h"
#include "assay/score/published_truth.h"

namespace assay {

enum class PublishedModel : uint8_t { kRank1, kRoles };
Result<PublishedModel> find_published_model(std::string_view name);  // "rank-1", "roles"; kUsage lists them
std::string_view name_of(PublishedModel model);

// How a tensor without any number gets its sensitivity (depth_smoother.h).
enum class UnmeasuredRule : uint8_t { kRoleMedian, kDepthLine, kSmooth };

struct PublishedOptions {
  PublishedModel model = PublishedModel::kRoles;
  std::optional<UnmeasuredRule> unmeasured;  // nullopt: of rank-1, which has no rule of its own, the role's median; of roles, kSmooth
  std::vector<std::string> types;            // wanted, names of foreign_types.h; empty: those of the table
};

enum class CellBasis : uint8_t {
  kMeasured,
  kPredicted,     // the type was measured, and a curve fitted to it
  kExtrapolated,  // it was not: group0's curve
};
std::string_view name_of(CellBasis basis);  // "measured", "predicted", "extrapolated"

struct ObjectiveCell {
  std::string type;  // TypeSize::name
  double damage = 0;
  double standard_error = 0;  // of what was predicted, from residuals; 0: unknown
  CellBasis basis = CellBasis::kMeasured;
};

struct ObjectiveRow {
  std::string name;
  std::string role;  // "attn_k+attn_v"
  int layer = -1;
  std::vector<std::string> tensors;
  bool measured = false;             // at any type
  std::vector<ObjectiveCell> cells;  // in the order of the wanted types
};

struct PublishedObjective {
  std::string estimator;  // "published:roles"
  std::vector<std::string> types;
  std::vector<ObjectiveRow> rows;
  double offset = 0, saturation = 0, common_slope = 1;  // type_curve.h
  double type_error = 0, cell_error = 0;                // of logs; 0: unknown
  std::vector<std::string> collapsed;                   // measured types that no curve was fitted to: the model was destroyed there
};

// Errors: kBadInput (a table in percent, a negative number, none above 0, an unknown type; group0 of other columns than one, "group0"),
// kMismatch (group0 lacks a type; published_truth's), kUsage (an unknown wanted type).
Result<PublishedObjective> published_objective(const PublishedTable& table, const PublishedTable& group0, std::span<const MappedTensor> map,
                                               const PublishedOptions& options = {});

// For `plan --table`. kUnsupported: types that only ik_llama.cpp has, named.
Result<DamageTable> damage_table_of(const PublishedObjective& objective);

}  // namespace assay
