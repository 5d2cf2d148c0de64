#include "assay/score/level_gradient.h"

#include <cmath>
#include <vector>

#include "assay/base/sum.h"
#include "assay/quant/code_move.h"

namespace assay {

Result<LevelGradient> level_gradient(GgmlType type, std::span<const std::byte> bytes, std::span<const float> gradient) {
  std::vector<float> up(gradient.size()), down(gradient.size());
  ASSAY_TRY(code_steps(type, bytes, up, down));
  LevelGradient made;
  CompensatedSum sum;
  for (size_t i = 0; i < up.size(); ++i) {
    if (up[i] == 0 && down[i] == 0) continue;
    const int both = (up[i] != 0) + (down[i] != 0);
    const double step = (std::fabs(static_cast<double>(up[i])) + std::fabs(static_cast<double>(down[i]))) / both;
    sum.add(std::fabs(static_cast<double>(gradient[i])) * step);
    ++made.weights;
  }
  made.sum = sum.value();
  return made;
}

}  // namespace assay
