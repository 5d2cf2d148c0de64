// Observations as bytes and back, for the journal: every field of every scored position, or the sums of windows.
// Non-goals: what else a unit depends on (its key), files for people.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/probe/observation.h"

namespace assay {

// Finite positions only: a NaN or infinite number is kBadInput, as in every payload.
Result<std::string> to_payload(std::span<const PositionObservation> positions);
Result<std::vector<PositionObservation>> positions_from_payload(std::string_view payload);

Result<std::string> to_payload(std::span<const WindowSums> windows);
Result<std::vector<WindowSums>> window_sums_from_payload(std::string_view payload);

}  // namespace assay
