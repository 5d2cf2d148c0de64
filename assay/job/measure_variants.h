// Many changed models on many windows, in units that are kept (unit_store.h). Internal to job/.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "assay/job/unit_store.h"
#include "assay/probe/observation.h"
#include "assay/probe/sweep.h"

namespace assay {

struct NamedVariant {
  std::string name;  // equal names, equal changes: part of a unit's key
  ResolvedVariant variant;
};

struct MeasureOptions {
  SweepOptions sweep;
  std::string depends_on;  // what else the changes depend on: imatrix, files
  size_t segment = 0;      // scored positions summed together; 0: those of a window
};

using ObservedVariants = std::vector<std::vector<WindowSums>>;  // [variant][window], or segment after segment

// The same with the KL of every scored position, window after window, for tails.
struct ObservedPositions {
  ObservedVariants sums;
  std::vector<std::vector<float>> kl;  // [variant][position], nats
};

// Units: one window, and as many variants as a minute of a small model takes.
Result<ObservedVariants> measure_variants(const OpenModel& model, std::span<const Window> windows, std::span<const NamedVariant> variants,
                                          UnitStore& store, const MeasureOptions& options, Progress& progress);

// The same; options.segment does not apply.
Result<ObservedPositions> measure_positions(const OpenModel& model, std::span<const Window> windows, std::span<const NamedVariant> variants,
                                            UnitStore& store, const MeasureOptions& options, Progress& progress);

// Multiplications by weights of one variant on these windows, in runs of the whole unedited model: the part of the blocks and the head that
// its own stream goes through.
double forward_equivalents(const Network& network, const Window& window, const ResolvedVariant& variant);

}  // namespace assay
