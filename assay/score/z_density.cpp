// ZD: the share of weights more than one standard deviation from the mean (methods.md 3.9). 0.317 for a Gaussian, less with heavy tails:
// llama.cpp's ZD of the imatrix is another thing (imatrix_scores).
#include <cmath>

#include "assay/score/data_free_scores.h"
#include "assay/score/fold_rows.h"
#include "assay/score/weight_moments.h"

namespace assay {
namespace {

class ZDensity : public MatrixScore {
 public:
  ScoreInfo info() const override {
    return {.name = "zd",
            .what = "share of weights beyond one standard deviation",
            .pooling = Pooling::kMean,
            .source = "ZD of LayerWise-Quant, in the NSDS program; methods.md 3.9"};
  }
  Result<double> value(const MatrixView& matrix, const ScoreContext& context) const override {
    const WeightMoments moments = weight_moments(matrix.values, context.threads);
    if (moments.count < 2 || moments.m2 <= 0) return 0.0;
    const auto count = static_cast<double>(moments.count);
    const double deviation = std::sqrt(moments.m2 * count / (count - 1));
    const Total beyond = fold_values(matrix.values, context.threads, Total{}, [&](Total& sum, std::span<const float> some) {
      uint64_t in_part = 0;
      for (const float w : some) in_part += std::fabs(static_cast<double>(w) - moments.mean) > deviation;
      sum.value = static_cast<double>(in_part);
    });
    return beyond.value / count;
  }
};

}  // namespace

std::unique_ptr<Score> zd_score() { return std::make_unique<ZDensity>(); }

}  // namespace assay
