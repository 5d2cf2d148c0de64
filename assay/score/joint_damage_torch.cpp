#include "assay/score/curvature.h"

#include <algorithm>

#include "assay/base/sum.h"

namespace assay {

double joint_damage(std::span<const CurvatureCell* const> cells) {
  CompensatedSum total;
  std::vector<double> sum;
  for (const CurvatureCell* cell : cells) {
    if (cell->terms.empty()) {
      total.add(cell->damage);
      continue;
    }
    sum.resize(std::max(sum.size(), cell->terms.size()));
    for (size_t t = 0; t < cell->terms.size(); ++t) sum[t] += static_cast<double>(cell->terms[t]);
  }
  for (const double s : sum) total.add(0.5 * s * s);
  return total.value();
}

}  // namespace assay
