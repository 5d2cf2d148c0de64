// From a damage table and a budget to a plan: a recipe with its exact size, predicted damage, bound and gap.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "assay/base/result.h"
#include "assay/plan/damage_table.h"
#include "assay/plan/quantize.h"

namespace assay {

// Exactly one member is set.
struct BudgetRequest {
  std::optional<double> bpw;    // bits per weight over all tensor bytes
  std::optional<std::string> size;  // of the file: "700MiB", or "30%" of the input
  std::optional<std::string> like;  // the bytes of a preset's file
};

struct AllocateConstraints {
  std::vector<GgmlType> types;                           // allowed; empty: every type the table has
  std::optional<GgmlType> min_type;                      // nothing with fewer bits per weight
  std::vector<std::pair<std::string, GgmlType>> keep;    // regular expression of names -> type
};

struct Plan {
  Recipe recipe;
  uint64_t file_bytes = 0, tensor_bytes = 0, budget_bytes = 0;  // the budget as file bytes
  double bpw = 0;
  double predicted_damage = 0;  // sum over the table's rows
  double bound = 0, gap = 0, lambda = 0;
  bool exact = false;
};

// The budget as bytes of the file to be written. `request`: how it will be written (its recipe is ignored).
Result<uint64_t> budget_bytes(const Checkpoint& checkpoint, const BudgetRequest& budget, const OutputRequest& request);

// Types for every tensor of the table. Errors: kUsage (nothing fits, with the smallest possible size; a type no row can hold),
// kMismatch (a table of another model).
Result<Plan> allocate(const Checkpoint& checkpoint, const DamageTable& table, uint64_t budget, const AllocateConstraints& constraints,
                      const OutputRequest& request);

}  // namespace assay
