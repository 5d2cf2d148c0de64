#include "assay/score/score_run.h"

namespace assay {

const MatrixView* LayerView::find(Role role) const {
  for (const MatrixView& matrix : matrices)
    if (matrix.role.role == role) return &matrix;
  return nullptr;
}

Result<std::vector<double>> MatrixScore::numbers(const LayerView& layer, const ScoreContext& context) const {
  std::vector<double> values;
  for (const MatrixView& matrix : layer.matrices) {
    ASSAY_ASSIGN(const double one, value(matrix, context));
    values.push_back(one);
  }
  return values;
}

std::vector<ScoreRow> MatrixScore::finish(std::span<const LayerNumbers> layers, const ScoreContext&) const {
  std::vector<ScoreRow> rows;
  for (const LayerNumbers& layer : layers)
    for (size_t m = 0; m < layer.matrices.size(); ++m) rows.push_back(matrix_row(layer.matrices[m], layer.numbers[m]));
  return rows;
}

ScoreRow matrix_row(const MatrixShape& matrix, double value) {
  return {matrix.tensor, {matrix.tensor}, matrix.elements(), {{std::nullopt, value, 0}}};
}

ScoreRow layer_row(const LayerNumbers& layer, double value) {
  ScoreRow row{layer.matrices.empty() ? "blk." + std::to_string(layer.layer) : group_of(layer.matrices[0].tensor, Grouping::kLayer),
               {},
               0,
               {{std::nullopt, value, 0}}};
  for (const MatrixShape& matrix : layer.matrices) {
    row.tensors.push_back(matrix.tensor);
    row.elements += matrix.elements();
  }
  return row;
}

}  // namespace assay
