// Intervals of the studies' results as figures take them.
#pragma once

#include "assay/report/figure.h"
#include "assay/study/estimate.h"

namespace assay {

inline PlotRange range_of(const Interval& interval) { return {interval.low, interval.high}; }
inline PlotRange range_of(const Estimate& estimate) {
  return estimate.interval ? PlotRange{estimate.interval->first, estimate.interval->second} : PlotRange{};
}

}  // namespace assay
