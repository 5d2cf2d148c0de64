// EWQ: entropy of the softmax over all weights of a matrix, per weight (methods.md 3.9). As published 0.01 is added inside the sum for
// every weight; that shifts all matrices alike and is kept.
#include <cmath>

#include "assay/score/data_free_scores.h"
#include "assay/score/fold_rows.h"

namespace assay {
namespace {

// sum e^(w - top) and sum (w - top) e^(w - top): entropy = log(sum) - weighted / sum.
struct SoftmaxSums {
  double mass = 0, weighted = 0;
  void merge(const SoftmaxSums& other) {
    mass += other.mass;
    weighted += other.weighted;
  }
};

class Ewq : public MatrixScore {
 public:
  ScoreInfo info() const override {
    return {.name = "ewq",
            .what = "entropy of the softmax over a matrix's weights, per weight",
            .unit = "nats per weight",
            .source = "EWQ, in the NSDS program; methods.md 3.9"};
  }
  Result<double> value(const MatrixView& matrix, const ScoreContext& context) const override {
    if (matrix.values.empty()) return 0.0;
    const float top = *std::max_element(matrix.values.begin(), matrix.values.end());
    const SoftmaxSums sums = fold_values(matrix.values, context.threads, SoftmaxSums{}, [&](SoftmaxSums& sum, std::span<const float> some) {
      double mass = 0, weighted = 0;
      for (const float w : some) {
        const double d = static_cast<double>(w) - static_cast<double>(top), e = std::exp(d);
        mass += e;
        weighted += d * e;
      }
      sum = {mass, weighted};
    });
    const double entropy = std::log(sums.mass) - sums.weighted / sums.mass;
    return entropy / static_cast<double>(matrix.elements()) - 0.01;
  }
};

}  // namespace

std::unique_ptr<Score> ewq_score() { return std::make_unique<Ewq>(); }

}  // namespace assay
