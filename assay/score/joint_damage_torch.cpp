#include <algorithm>

#include "assay/base/sum.h"
#include "assay/score/curvature.h"

namespace assay {

double joint_damage(std::span<const CurvatureCell* const> cells) {
  CompensatedSum total;
  std::vector<double> sum, square;
  for (const CurvatureCell* cell : cells) {
    total.add(cell->damage);
    const size_t terms = cell->terms.size();
    sum.resize(std::max(sum.size(), terms));
    square.resize(sum.size());
    for (size_t t = 0; t < terms; ++t) {
      const auto term = static_cast<double>(cell->terms[t]);
      sum[t] += term;
      square[t] += term * term;
    }
  }
  for (size_t t = 0; t < sum.size(); ++t) total.add(0.5 * (sum[t] * sum[t] - square[t]));
  return total.value();
}

}  // namespace assay
