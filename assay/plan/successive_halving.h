// Successive halving (Karnin, Koren, Somekh 2013): candidates compete on a few windows, the better half goes on to twice as many, the last
// round has them all. All candidates of a round see the same windows. Torch-free. Non-goals: running models, intervals.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "assay/base/result.h"

namespace assay {

struct HalvingPlace {
  size_t rounds = 0;   // survived
  size_t windows = 0;  // of its last round
  double mean = 0;     // on them
};

struct HalvingResult {
  std::vector<size_t> order;  // best first: rounds survived, then the mean
  std::vector<HalvingPlace> places;
  size_t evaluations = 0;  // a candidate on a window that it had not seen
};

// Means of these candidates on windows [0, windows). Called with fewer candidates and more windows each time.
using HalvingMeasure = std::function<Result<std::vector<double>>(std::span<const size_t> candidates, size_t windows)>;

// Lower means are better; of equal ones the first candidate is. One candidate wins unmeasured.
Result<HalvingResult> halve(size_t candidates, size_t windows, const HalvingMeasure& measure);

}  // namespace assay
