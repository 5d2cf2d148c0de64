// Sixteen runs of weights under scales of their own, one per lane: their errors and their best codes, octet by octet (grid_codes.h).
// Nothing crosses lanes, so a run's result does not depend on its neighbours. Internal to quant/.
#pragma once

#include <array>

#include "assay/quant/grid_codes.h"

namespace assay::grid_runs {

using Lanes = std::array<float, kLanes>;
using Kernel = void (*)(const Octets&, float*);

constexpr Lanes filled(float value) {
  Lanes lanes{};
  lanes.fill(value);
  return lanes;
}
// Sixteen runs; arrays are [weight][lane].
struct Set {
  alignas(64) float x[32 * kLanes], w[32 * kLanes];
  int run = 0;
};

// The first `count` runs at `row`; lanes from there on repeat the last. importance: of the same columns, or nullptr for ones.
void load(const GridFormat& format, const float* row, const float* importance, int count, Set& set);

// Errors of all runs by `kernel`, one of the format's; shifts are the better ones.
Lanes errors_of(const GridFormat& format, Kernel kernel, const Set& set, const Lanes& scale);

// The best codes of all runs, their errors, and the sums that fit a scale to them.
struct Choice {
  OctetCode code[32 / kOctet][kLanes];
  Lanes error{}, sum_xq{}, sum_qq{};
};

// guess_shifts: shifts are those that are better without regard to the grid, at half the cost.
void choose(const GridFormat& format, const Set& set, const Lanes& scale, bool guess_shifts, Choice& choice);

}  // namespace assay::grid_runs
