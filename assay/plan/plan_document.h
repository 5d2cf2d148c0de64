// The document of a plan, for a recipe that says where it came from and what it promises. Non-goals: files, formats (recipe_format.h).
#pragma once

#include "assay/base/result.h"
#include "assay/plan/allocate.h"
#include "assay/plan/damage_table.h"
#include "assay/plan/model_tensors.h"
#include "assay/plan/recipe_document.h"

namespace assay {

// Types, model and prediction. The damage and its error are told where the table's unit is nats; interval: 95 %, of independent rows.
Result<RecipeDocument> plan_document(const Plan& plan, const DamageTable& table, const ModelTensors& model);

// Of the predicted damage: the rows' standard errors in squares, at the types that the plan gives them. 0: none is known.
double standard_error_of(const Recipe& recipe, const DamageTable& table);

}  // namespace assay
