// Two controls: a number drawn by lot, and the number of weights. A score that does no better than these says nothing.
#include "assay/base/random.h"
#include "assay/base/sha256.h"
#include "assay/score/data_free_scores.h"

namespace assay {
namespace {

class RandomScore : public MatrixScore {
 public:
  ScoreInfo info() const override {
    return {
        .name = "random", .what = "a number drawn by lot", .estimand = Estimand::kNothing, .pooling = Pooling::kMean, .source = "control"};
  }
  Result<double> value(const MatrixView& matrix, const ScoreContext& context) const override {
    return CounterRandom(context.seed, name_stream(matrix.tensor)).next_uniform();
  }
};

class SizeScore : public MatrixScore {
 public:
  ScoreInfo info() const override {
    return {.name = "size", .what = "number of weights", .estimand = Estimand::kNothing, .unit = "weights", .source = "control"};
  }
  Result<double> value(const MatrixView& matrix, const ScoreContext&) const override { return static_cast<double>(matrix.elements()); }
};

}  // namespace

std::unique_ptr<Score> random_score() { return std::make_unique<RandomScore>(); }
std::unique_ptr<Score> size_score() { return std::make_unique<SizeScore>(); }

}  // namespace assay
