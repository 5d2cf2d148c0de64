#include "assay/plan/plan_document.h"

#include <algorithm>
#include <cmath>

namespace assay {
namespace {

constexpr double kNormal95 = 1.96;

}  // namespace

double standard_error_of(const Recipe& recipe, const DamageTable& table) {
  double squares = 0;
  for (const DamageRow& row : table.rows) {
    const auto type = recipe.types.find(row.tensors.front());
    if (type == recipe.types.end()) continue;
    for (const DamageCell& cell : row.cells)
      if (cell.type == type->second) squares += cell.standard_error * cell.standard_error;
  }
  return std::sqrt(squares);
}

Result<RecipeDocument> plan_document(const Plan& plan, const DamageTable& table, const ModelTensors& model) {
  RecipeDocument document = document_of(plan.recipe);
  ASSAY_TRY(record_model(model, document.provenance));
  RecipePrediction& prediction = document.prediction;
  prediction.file_bytes = plan.file_bytes;
  prediction.tensor_bytes = plan.tensor_bytes;
  if (table.unit != kDamageUnit) return document;
  prediction.damage = plan.predicted_damage;
  prediction.bound = plan.bound;
  if (const double error = standard_error_of(plan.recipe, table); error > 0) {
    prediction.standard_error = error;
    prediction.interval = {std::max(0.0, plan.predicted_damage - kNormal95 * error), plan.predicted_damage + kNormal95 * error};
  }
  return document;
}

}  // namespace assay
