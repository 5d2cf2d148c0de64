// The sum of squared weights: its order is that of the Frobenius norm, and unlike that it adds up (methods.md 3.3).
#include "assay/score/data_free_scores.h"
#include "assay/score/weight_moments.h"
#include "assay/score/weight_values.h"

namespace assay {
namespace {

class WeightNorm : public MatrixScore {
 public:
  ScoreInfo info() const override {
    return {.name = "weight_norm", .what = "sum of squared weights", .unit = "weight^2", .source = "Frobenius norm; methods.md 3.3"};
  }
  Result<double> value(const MatrixView& matrix, const ScoreContext& context) const override {
    return weight_moments(matrix.values, context.threads).sum_squares;
  }
  bool has_weight_values() const override { return true; }
  void weight_values(const MatrixView& matrix, const ScoreContext& context, std::span<float> out) const override {
    fill_weights(out, context.threads,
                 [&](size_t i) { return static_cast<double>(matrix.values[i]) * static_cast<double>(matrix.values[i]); });
  }
};

}  // namespace

std::unique_ptr<Score> weight_norm_score() { return std::make_unique<WeightNorm>(); }

}  // namespace assay
