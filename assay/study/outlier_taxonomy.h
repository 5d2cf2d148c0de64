// What a weight is called by what happens without it (methods.md 7.1): the first rule that matches. The published thresholds have no
// justification, so the counts under thresholds three times as large and as small belong to every result. Torch-free.
// Non-goals: measuring the fields.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace assay {

enum class OutlierLabel : uint8_t { kSuperWeight, kShadowOutlier, kSilentStabilizer, kUnderOutlier, kObsoleteAnchor, kUnresolved };
inline constexpr size_t kOutlierLabels = 6;
std::string_view name_of(OutlierLabel label);  // "Super Weight", ...

struct TaxonomyThresholds {
  double super_kl = 0.02, super_tail_kl = 0.1, super_flip_rate = 0.05;  // any of them: Super Weight
  double interaction = 0.01;                                            // at least: Shadow Outlier
  double quiet_kl = 1e-4;                                               // at most: Silent Stabilizer, Under-Outlier
  double stability = 0.5;                                               // at least: Silent Stabilizer, Obsolete Anchor
};

// KLs in nats per token. What was not measured is empty and matches no rule.
struct TaxonomyInput {
  double kl = 0, tail_kl = 0, flip_rate = 0;
  std::optional<double> interaction, max_stability;
};

OutlierLabel label_of(const TaxonomyInput& input, const TaxonomyThresholds& thresholds);

using LabelCounts = std::array<uint64_t, kOutlierLabels>;
LabelCounts count_labels(std::span<const TaxonomyInput> inputs, const TaxonomyThresholds& thresholds);

// The counts as they are, then with each threshold alone times 3 and divided by 3.
struct TaxonomySensitivity {
  std::string threshold;  // "as they are", "quiet_kl x 3", "quiet_kl / 3"
  LabelCounts counts{};
};
std::vector<TaxonomySensitivity> sensitivity_of(std::span<const TaxonomyInput> inputs, const TaxonomyThresholds& thresholds);

// The thresholds by the names that configs give them.
struct NamedThreshold {
  const char* name;
  double TaxonomyThresholds::* value;
};
std::span<const NamedThreshold> taxonomy_thresholds();

}  // namespace assay
