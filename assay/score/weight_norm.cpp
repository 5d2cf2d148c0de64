// The sum of squared weights: its order is that of the Frobenius norm, and unlike that it adds up (methods.md 3.3).
#include "assay/score/data_free_scores.h"
#include "assay/score/weight_moments.h"

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
};

}  // namespace

std::unique_ptr<Score> weight_norm_score() { return std::make_unique<WeightNorm>(); }

}  // namespace assay
