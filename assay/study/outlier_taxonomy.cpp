#include "assay/study/outlier_taxonomy.h"

namespace assay {
namespace {

constexpr double kFactor = 3;
constexpr NamedThreshold kThresholds[] = {
    {"super_kl", &TaxonomyThresholds::super_kl},
    {"super_tail_kl", &TaxonomyThresholds::super_tail_kl},
    {"super_flip_rate", &TaxonomyThresholds::super_flip_rate},
    {"interaction", &TaxonomyThresholds::interaction},
    {"quiet_kl", &TaxonomyThresholds::quiet_kl},
    {"stability", &TaxonomyThresholds::stability},
};

}  // namespace

std::string_view name_of(OutlierLabel label) {
  constexpr std::string_view kNames[] = {"Super Weight",  "Shadow Outlier",  "Silent Stabilizer",
                                         "Under-Outlier", "Obsolete Anchor", "Unresolved"};
  return kNames[static_cast<size_t>(label)];
}

OutlierLabel label_of(const TaxonomyInput& input, const TaxonomyThresholds& thresholds) {
  const bool stable = input.max_stability && *input.max_stability >= thresholds.stability;
  const bool quiet = input.kl <= thresholds.quiet_kl;
  if (input.kl >= thresholds.super_kl || input.tail_kl >= thresholds.super_tail_kl || input.flip_rate >= thresholds.super_flip_rate)
    return OutlierLabel::kSuperWeight;
  if (input.interaction && *input.interaction >= thresholds.interaction) return OutlierLabel::kShadowOutlier;
  if (quiet && stable) return OutlierLabel::kSilentStabilizer;
  if (quiet) return OutlierLabel::kUnderOutlier;
  return stable ? OutlierLabel::kObsoleteAnchor : OutlierLabel::kUnresolved;
}

LabelCounts count_labels(std::span<const TaxonomyInput> inputs, const TaxonomyThresholds& thresholds) {
  LabelCounts counts{};
  for (const TaxonomyInput& input : inputs) ++counts[static_cast<size_t>(label_of(input, thresholds))];
  return counts;
}

std::vector<TaxonomySensitivity> sensitivity_of(std::span<const TaxonomyInput> inputs, const TaxonomyThresholds& thresholds) {
  std::vector<TaxonomySensitivity> rows = {{"as they are", count_labels(inputs, thresholds)}};
  for (const NamedThreshold& one : kThresholds)
    for (const bool more : {true, false}) {
      TaxonomyThresholds moved = thresholds;
      moved.*one.value = more ? moved.*one.value * kFactor : moved.*one.value / kFactor;
      rows.push_back({std::string(one.name) + (more ? " x 3" : " / 3"), count_labels(inputs, moved)});
    }
  return rows;
}

std::span<const NamedThreshold> taxonomy_thresholds() { return kThresholds; }

}  // namespace assay
