// A value with its 95 % interval, as the studies' results hold it. Torch-free.
#pragma once

#include <optional>
#include <utility>

#include "assay/probe/statistics.h"

namespace assay {

struct Estimate {
  double value = 0;
  std::optional<std::pair<double, double>> interval;  // 95 %; none: too few windows
};

inline Estimate estimate_of(const Interval& interval, bool known) {
  Estimate estimate{interval.value, {}};
  if (known) estimate.interval = std::pair{interval.low, interval.high};
  return estimate;
}

}  // namespace assay
