// EvoPress's search (plan/solve_evopress.h) on measured KL: recipes run as variants of the unquantized model on calibration windows.
// Every generation draws its windows anew, those of a round are the first of the next, and what a recipe did on a window is never measured
// twice. Internal to job/.
#pragma once

#include <span>

#include "assay/job/recipe_variants.h"
#include "assay/job/refine_report.h"
#include "assay/plan/allocate.h"
#include "assay/plan/solve_evopress.h"

namespace assay {

struct SearchInputs {
  const OpenModel& model;
  RecipeVariants& variants;
  std::span<const Window> windows;
  UnitStore& store;
  MeasureOptions measure;  // depends_on: all that encoded changes depend on
  const AllocationRows& rows;
  const Recipe& rest;  // types of what the rows do not decide
};

struct FoundRecipe {
  Recipe recipe;
  SearchReport report;
};

// Of types of equal size a row keeps the first.
Result<FoundRecipe> search_plan(const SearchInputs& inputs, const EvoPressOptions& options, Progress& progress);

}  // namespace assay
