// What the RFIC study will do, in words, and its screen as units. Internal to job/.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "assay/study/rfic_study.h"

namespace assay {

// The config's layers, or a quarter, half and three quarters of the way. Error: a layer past the end.
Result<std::vector<int>> screened_layers(const RficConfig& config, int layers);
// Work of each stage and an estimate from one window's seconds.
std::string plan_text(const RficConfig& config, size_t matrices, size_t windows, size_t gate_windows, double window_seconds);

Result<std::string> rfic_payload(const std::vector<RficCandidate>& candidates);
Result<std::vector<RficCandidate>> rfic_candidates(std::string_view payload);

}  // namespace assay
