// The squared error of rounding the whole tensor to three values, -s, 0, s with s half the largest weight (methods.md 3.9, "MSE").
#include <array>
#include <cmath>
#include <numeric>

#include "assay/score/data_free_scores.h"
#include "assay/score/fold_rows.h"
#include "assay/score/weight_moments.h"

namespace assay {
namespace {

class TwoBitError : public MatrixScore {
 public:
  ScoreInfo info() const override {
    return {.name = "mse2",
            .what = "squared error of symmetric 2-bit rounding of the whole tensor",
            .unit = "weight^2",
            .source = "MSE baseline of the NSDS program; methods.md 3.9"};
  }
  Result<double> value(const MatrixView& matrix, const ScoreContext& context) const override {
    const float scale = weight_moments(matrix.values, context.threads).largest / 2;
    if (!(scale > 0)) return 0.0;
    const Total error = fold_values(matrix.values, context.threads, Total{}, [&](Total& sum, std::span<const float> some) {
      std::array<double, kLanes> total{};
      by_lanes(some, [&](size_t lane, float w) {
        const float steps = w / scale;  // half a step rounds to even, which is 0
        const float near = std::fabs(steps) > 0.5F ? std::copysign(scale, w) : 0.0F;
        const double e = static_cast<double>(w) - static_cast<double>(near);
        total[lane] += e * e;
      });
      sum.value = std::accumulate(total.begin(), total.end(), 0.0);
    });
    return error.value;
  }
};

}  // namespace

std::unique_ptr<Score> two_bit_error_score() { return std::make_unique<TwoBitError>(); }

}  // namespace assay
