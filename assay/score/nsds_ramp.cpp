#include "assay/score/nsds_ramp.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "assay/score/median.h"

namespace assay {

std::vector<double> mad_sigmoid(std::span<const double> values) {
  std::vector<double> out(values.begin(), values.end());
  if (out.empty()) return out;
  const double middle = median(out);
  std::vector<double> distances;
  for (const double value : values) distances.push_back(std::fabs(value - middle));
  double scale = 1.4826 * median(std::move(distances));
  if (scale < 1e-12) {
    const auto n = static_cast<double>(values.size());
    const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
    double square = 0;
    for (const double value : values) square += (value - mean) * (value - mean);
    scale = std::sqrt(square / n);
  }
  for (double& value : out) value = scale < 1e-12 ? 0.5 : 1 / (1 + std::exp(-(value - middle) / scale));
  return out;
}

}  // namespace assay
