#include "assay/model/rope_tables.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace assay {
namespace {

// The (fractional) dimension that turns `rotations` times over the original context.
double yarn_dimension(double rotations, double dims, double base, double context) {
  return dims * std::log(context / (rotations * 2 * std::numbers::pi)) / (2 * std::log(base));
}

}  // namespace

RopeAngles rope_angles(const Hyper& hyper, std::span<const float> factors) {
  RopeAngles angles;
  const int half = hyper.rope_dims / 2;
  const auto dims = static_cast<double>(hyper.rope_dims);
  const RopeScaling& scaling = hyper.scaling;
  angles.magnitude = scaling.magnitude;
  double low = 0, high = 0;
  if (scaling.kind == RopeScaling::Kind::kYarn) {
    const auto context = static_cast<double>(scaling.original_context);
    low = std::max(0.0, std::floor(yarn_dimension(scaling.beta_fast, dims, hyper.rope_base, context)));
    high = std::min(dims - 1, std::ceil(yarn_dimension(scaling.beta_slow, dims, hyper.rope_base, context)));
    if (high <= low) high = low + 0.001;
  }
  for (int i = 0; i < half; ++i) {
    double frequency = std::pow(hyper.rope_base, -2.0 * i / dims);
    if (!factors.empty()) frequency /= static_cast<double>(factors[static_cast<size_t>(i)]);
    if (scaling.kind == RopeScaling::Kind::kLinear) frequency /= scaling.factor;
    if (scaling.kind == RopeScaling::Kind::kYarn) {
      const double ramp = std::clamp((i - low) / (high - low), 0.0, 1.0);  // 0: keep the frequency, 1: interpolate
      frequency = frequency / scaling.factor * ramp + frequency * (1 - ramp);
    }
    angles.frequency.push_back(frequency);
  }
  return angles;
}

}  // namespace assay
