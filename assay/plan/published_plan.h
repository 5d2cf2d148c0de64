// The best types for a size from published measurements: an objective (published_objective.h), a model's names and shapes, no weights.
// Each row of the objective takes one type; tensors of no row keep the type that the map gives them. A type that is worse than a smaller
// one of the same row is never taken, by no solver. Bytes are exact, each tensor padded as in a file, without a file's header.
// Non-goals: ggml files and their fallbacks (allocate.h), formats of recipes (recipe_format.h).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "assay/base/result.h"
#include "assay/plan/published_objective.h"
#include "assay/plan/recipe_document.h"
#include "assay/plan/recipe_size.h"

namespace assay {

struct PublishedPlanOptions {
  uint64_t budget = 0;           // bytes of all tensors, padded
  std::string solver = "exact";  // solver.h
  // Of the tensors' sensitivities, as the tool suite's greedy way weighs them: sens^exponent x fall of the curve. A solver chooses by it;
  // what is told of its choice is by the objective itself.
  double exponent = 1;
  uint64_t alignment = 32;  // bytes
};

struct PublishedPlan {
  RecipeDocument document;  // types and prediction
  RecipeSize size;
  double damage = 0;              // sum over rows, offset off
  double standard_error = 0;      // extrapolated cells' errors are shared, as their curve is; others add in squares. 0: unknown
  double bound = 0;               // no choice is below
  bool exact = false;             // proven optimal
  double lambda = 0;              // damage that one byte more would save
  std::array<size_t, 3> bases{};  // rows by CellBasis
  std::vector<std::string> warnings;
  double gap() const { return damage != 0 ? (damage - bound) / damage : 0; }
};

// Errors: kUsage (unknown solver, budget below the minimum: stated), kMismatch (a row's tensor that the model lacks).
Result<PublishedPlan> plan_published(const PublishedObjective& objective, std::span<const TensorInfo> tensors,
                                     const PublishedPlanOptions& options);

// What each row of `judge` loses under the recipe. kMismatch: a type that the row has no cell of.
Result<std::vector<double>> row_damages(const PublishedObjective& judge, const RecipeDocument& document);

}  // namespace assay
