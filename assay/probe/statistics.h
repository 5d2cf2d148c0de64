// Intervals for means over scored positions. Positions of one document are not independent, so documents are resampled, whole; variants
// are paired by window. With fewer than 8 documents it is a circular block bootstrap over windows (Politis, Romano 1992): blocks of
// max(1, round(n^(1/3))) consecutive windows, wrapping from the last to the first, so that neighbours stay together; the result says so.
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

// 2.5 % and 97.5 % of `draws`, around `value`; without draws the interval is the value.
Interval percentile_interval(double value, std::vector<double> draws);

// "documents" or "blocks of windows (fewer than 8 documents)".
std::string bootstrap_unit(std::span<const WindowSums> windows);

// Windows in one block where documents are too few.
size_t block_length(size_t windows);

// What one draw of the bootstrap takes: some of these groups of windows, each drawn alike.
struct WindowGroups {
  std::vector<std::vector<size_t>> members;
  size_t draws = 0;                          // full groups per resample
  std::vector<std::vector<size_t>> partial;  // one of these at the end, so that every resample has as many windows as the sample
};

// What a report says of the windows it is made from.
struct Extent {
  uint64_t tokens = 0, windows = 0, documents = 0;  // scored tokens; distinct documents
};
Extent extent_of(std::span<const WindowSums> windows);

// A statistic of sums over windows; `sums` are the resampled totals (compensated).
using WindowStatistic = std::function<double(const WindowSums& sums)>;
Interval bootstrap(std::span<const WindowSums> windows, const WindowStatistic& statistic, const BootstrapOptions& options = {});
// The same of several variants on the same windows, resampled together; `sums` has one entry per variant.
using JointStatistic = std::function<double(std::span<const WindowSums> sums)>;
Interval bootstrap_joint(std::span<const std::span<const WindowSums>> variants, const JointStatistic& statistic,
                         const BootstrapOptions& options = {});
using PairStatistic = std::function<double(const WindowSums& a, const WindowSums& b)>;
Interval bootstrap_pair(std::span<const WindowSums> a, std::span<const WindowSums> b, const PairStatistic& statistic,
                        const BootstrapOptions& options = {});

// For statistics of many variants at once: how often each window occurs in resample `resample` < options.resamples, [windows]; the very
// draws that bootstrap() makes with these options. Empty where there is nothing to draw from: a single group of windows.
class WindowResampler {
 public:
  explicit WindowResampler(std::span<const WindowSums> windows, const BootstrapOptions& options = {});
  std::vector<uint32_t> counts(uint32_t resample) const;
  const BootstrapOptions& options() const { return options_; }

 private:
  size_t windows_;
  BootstrapOptions options_;
  WindowGroups groups_;
};

}  // namespace assay
