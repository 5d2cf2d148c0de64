// What the proxies study makes of its measurements: pure functions. Torch-free. Non-goals: measuring (job/study_proxies.h).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "assay/study/proxies_result.h"
#include "assay/tasks/task_score.h"

namespace assay {

// Items of all tasks, one after another, as a bootstrap draws them: whole clusters, as many of each task as it has.
struct ItemLayout {
  std::vector<uint32_t> task, cluster;  // of each item; clusters are numbered through all tasks
};

// Damage of each item under one changed model: base less model.
struct ItemDamage {
  std::array<std::vector<double>, kTaskOutcomes> values;
};
ItemDamage damage_of(std::span<const ItemScore> base, std::span<const ItemScore> model);

struct ProxiesOptions {
  double predicts = 0.5;
  uint32_t resamples = 1000;
  uint64_t seed = 42;
};

// Outcomes and intervals of the variants (proxies are there already), correlations, reliability, claims, verdict.
void conclude(ProxiesResult& result, std::span<const ItemDamage> damage, const ItemLayout& layout, const ProxiesOptions& options);

// A claim's verdict from the intervals that hold together, one per proxy; an empty one decides nothing. An outcome whose ranks are mostly
// noise cannot be ranked by anything: below this reliability, or without one, nothing is supported.
inline constexpr double kLeastReliability = 0.5;
ClaimOutcome decide(std::span<const std::optional<std::pair<double, double>>> together, double predicts, std::optional<double> reliability);

}  // namespace assay
