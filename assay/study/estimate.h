// A value with its 95 % interval, as the studies' results hold it. Torch-free.
#pragma once

#include <optional>
#include <utility>

namespace assay {

struct Estimate {
  double value = 0;
  std::optional<std::pair<double, double>> interval;  // 95 %; none: too few windows
};

}  // namespace assay
