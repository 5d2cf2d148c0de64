// The squared error of storing a matrix at a ggml type: plain, and weighted by the mean squared inputs of each column (imatrix), which is
// the expected squared error of the product if the inputs are uncorrelated (methods.md 3.12).
#include "assay/score/data_free_scores.h"
#include "assay/score/fold_rows.h"
#include "assay/score/weight_values.h"

namespace assay {
namespace {

double weighted_error(const MatrixView& matrix, std::span<const float> change, std::span<const float> weights, int threads) {
  return fold_rows(matrix, threads, Total{},
                   [&](Total& sum, uint64_t r) {
                     const float* row = change.data() + r * matrix.columns;
                     double total = 0;
                     if (weights.empty())
                       for (uint64_t c = 0; c < matrix.columns; ++c) total += static_cast<double>(row[c]) * static_cast<double>(row[c]);
                     else
                       for (uint64_t c = 0; c < matrix.columns; ++c)
                         total += static_cast<double>(weights[c]) * (static_cast<double>(row[c]) * static_cast<double>(row[c]));
                     sum.value += total;
                   })
      .value;
}

// Its terms.
void weighted_errors(const MatrixView& matrix, std::span<const float> change, std::span<const float> weights, int threads,
                     std::span<float> out) {
  fill_weights(out, threads, [&](size_t i) {
    const double square = static_cast<double>(change[i]) * static_cast<double>(change[i]);
    return weights.empty() ? square : static_cast<double>(weights[i % matrix.columns]) * square;
  });
}

class WeightError : public ChangeScore {
 public:
  ScoreInfo info() const override {
    return {.name = "weight_error",
            .what = "squared error of the weights at the type",
            .unit = "weight^2",
            .by_type = true,
            .source = "what encoders minimize; methods.md 3.12"};
  }
  Result<double> value(const MatrixView& matrix, GgmlType, std::span<const float> change, const ScoreContext& context) const override {
    return weighted_error(matrix, change, {}, context.threads);
  }
  bool has_weight_values() const override { return true; }
  void weight_values(const MatrixView& matrix, std::span<const float> change, const ScoreContext& context,
                     std::span<float> out) const override {
    weighted_errors(matrix, change, {}, context.threads, out);
  }
};

class ImportanceError : public ChangeScore {
 public:
  ScoreInfo info() const override {
    return {.name = "imatrix_error",
            .what = "squared error of the weights at the type, weighted by mean squared inputs",
            .unit = "output^2",
            .by_type = true,
            .needs_text = true,
            .source = "llama.cpp's quantizers with an imatrix; methods.md 3.12"};
  }
  bool needs_importance() const override { return true; }
  Result<double> value(const MatrixView& matrix, GgmlType, std::span<const float> change, const ScoreContext& context) const override {
    return weighted_error(matrix, change, matrix.importance, context.threads);
  }
  bool has_weight_values() const override { return true; }
  void weight_values(const MatrixView& matrix, std::span<const float> change, const ScoreContext& context,
                     std::span<float> out) const override {
    weighted_errors(matrix, change, matrix.importance, context.threads, out);
  }
};

}  // namespace

std::unique_ptr<Score> weight_error_score() { return std::make_unique<WeightError>(); }
std::unique_ptr<Score> importance_error_score() { return std::make_unique<ImportanceError>(); }

}  // namespace assay
