// Many changed models on as many windows as it takes to settle them (probe/sequential.h): `assay probe --until`. Internal to job/.
#pragma once

#include <span>
#include <vector>

#include "assay/job/measure_variants.h"
#include "assay/probe/sequential.h"

namespace assay {

struct AdaptiveOptions {
  MeasureOptions measure;
  StopRule rule;
  double noise_floor = 0;  // differences below it settle as equal
  uint64_t seed = 0;       // of the order of the windows
};

struct AdaptiveResult {
  ObservedVariants observed;  // [variant][window]: the first so many of one random order of windows
  std::vector<size_t> order;  // variants, greatest mean KL first
};

// Units are those of measure_variants(): one window, some variants. Which variants go on depends on the values so far alone, so a killed
// run goes the same way.
Result<AdaptiveResult> measure_until(const OpenModel& model, std::span<const Window> windows, std::span<const NamedVariant> variants,
                                     UnitStore& store, const AdaptiveOptions& options, Progress& progress);

// Variants by mean KL over their windows, greatest first.
std::vector<size_t> by_mean(const ObservedVariants& observed);

}  // namespace assay
