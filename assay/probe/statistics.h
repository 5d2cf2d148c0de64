// Intervals for means over scored positions. Positions of one document are not independent, so documents are resampled, whole; variants
// are paired by window. With fewer than 8 documents windows are resampled instead, and the result says so.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "assay/probe/observation.h"

namespace assay {

struct Interval {
  double value = 0;  // on the sample itself
  double low = 0;    // 2.5 % and 97.5 % of the bootstrap distribution
  double high = 0;
};

struct BootstrapOptions {
  uint32_t resamples = 2000;
  uint64_t seed = 0;
};

// "documents" or "windows (fewer than 8 documents)".
std::string bootstrap_unit(std::span<const WindowSums> windows);

// A statistic of sums over windows; `sums` are the resampled totals.
using WindowStatistic = std::function<double(const WindowSums& sums)>;
Interval bootstrap(std::span<const WindowSums> windows, const WindowStatistic& statistic, const BootstrapOptions& options = {});
// The same of two variants on the same windows, resampled together.
using PairStatistic = std::function<double(const WindowSums& a, const WindowSums& b)>;
Interval bootstrap_pair(std::span<const WindowSums> a, std::span<const WindowSums> b, const PairStatistic& statistic, const BootstrapOptions& options = {});

}  // namespace assay
