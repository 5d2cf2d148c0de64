// What separates two recipes of one model: bytes, and predicted damage where a table is at hand, by role and by depth.
// Damage is summed over the table's rows as if they did not interact; a row whose tensors have several types under a recipe, or a type that
// the table lacks, is counted as unknown (unquantized types do no damage).
// Non-goals: measuring, judging which recipe is better.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "assay/base/result.h"
#include "assay/plan/recipe_document.h"
#include "assay/plan/recipe_size.h"
#include "assay/plan/type_damage.h"

namespace assay {

struct TensorChange {
  std::string tensor, from, to;
  int64_t bytes = 0;  // of the second recipe less those of the first
};

// Of one role in one block.
struct RecipeMove {
  std::string role;      // of a tensor, or of a row of the table that has several: "attn_k+attn_v"
  int layer = -1;        // -1: outside the blocks
  uint64_t changed = 0;  // tensors
  int64_t bytes = 0;
  double damage = 0;  // of the second less that of the first, nats per token
};

struct RecipeDiff {
  RecipeSize first, second;
  std::vector<TensorChange> changes;  // in the order of the model's tensors
  std::vector<RecipeMove> moves;      // by role, then layer; only what moved
  int layers = 0;
  bool has_damage = false;
  double damage = 0;                 // sum of the moves'
  std::vector<std::string> unknown;  // rows of the table that changed, with a type that it lacks, and tensors in no row
  // Sums of the moves by role, in the order of their first, and by layer (-1 first).
  std::vector<RecipeMove> by_role() const, by_layer() const;
};

// `damage`: nullptr: none. Errors: recipe_size's; kMismatch: the table names a tensor that the model lacks.
Result<RecipeDiff> recipe_diff(const RecipeDocument& first, const RecipeDocument& second, std::span<const TensorInfo> tensors,
                               const TypeDamage* damage);

}  // namespace assay
