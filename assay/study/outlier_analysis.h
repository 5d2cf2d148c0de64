// What the outlier study makes of its measurements: pure functions. Torch-free. Non-goals: measuring (job/study_outliers.h).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "assay/probe/observation.h"
#include "assay/study/outlier_config.h"
#include "assay/study/outlier_result.h"

namespace assay {

// One changed model on all prompts: sums per prompt, and the KL of every position, prompt after prompt.
struct PromptObservation {
  std::span<const WindowSums> sums;
  std::span<const float> kl;
};

// On the prompts that are chosen (one flag per prompt; empty: all). Tail: the mean of the max(1, ceil(tail n)) greatest KLs.
Behaviour behaviour_of(const PromptObservation& observed, double tail, const std::vector<bool>& chosen = {});
std::vector<Behaviour> behaviour_by_stratum(const PromptObservation& observed, double tail, std::span<const uint32_t> stratum_of_prompt,
                                            size_t strata);

// With 2,000 resamples over prompts.
Interval mean_kl_of(std::span<const WindowSums> sums, uint64_t seed);
// KL of all at once less the sum of each alone; the joint one first.
Interval interaction_of(std::span<const std::span<const WindowSums>> joint_and_alone, uint64_t seed);
// (KL damage - KL) / (KL damage + 1e-12).
Interval recovery_of(std::span<const WindowSums> damage, std::span<const WindowSums> repaired, uint64_t seed);
// The outliers' recovery less the mean of the controls'.
Interval excess_of(std::span<const WindowSums> damage, std::span<const WindowSums> outliers,
                   std::span<const std::span<const WindowSums>> controls, uint64_t seed);

// "0", "1", "2-3", "4-7", ...: where a position belongs.
size_t position_bin(uint64_t position);
std::vector<std::string> position_bins(uint64_t positions);

// Labels, counts, statistics, verdicts and outcome.
void conclude(OutlierResult& result, const OutlierConfig& config);

}  // namespace assay
