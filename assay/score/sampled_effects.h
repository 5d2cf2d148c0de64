// Scores of layers from weights or bytes drawn by lot and changed both ways: Q-PSA (methods.md 3.1), measured or predicted. Torch-free.
// Non-goals: drawing the samples (probe/variant_families.h), how far their scores can be trusted (study/layer_scores.h).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace assay {

// One weight or byte, changed both ways.
struct SampledEffect {
  int layer = 0;
  std::string tensor;
  uint64_t number = 0;  // within its tensor, in the order drawn: the first n are the sample of size n
  double effect = 0;    // mean |change| over the sides that count
  bool counts = true;   // false: both sides saturated, or not finite
};

// Of the sides that count; none: the sample does not.
void set_effect(SampledEffect& sample, std::span<const double> changes);

struct LayerScore {
  double value = 0;
  double standard_error = 0;  // of the mean over samples
  uint64_t samples = 0;
};

// Mean of each layer, pooled over tensors, over the samples that count and are `wanted` (empty: all).
std::vector<LayerScore> mean_by_layer(std::span<const SampledEffect> effects, int layers,
                                      const std::function<bool(const SampledEffect&)>& wanted = {});

}  // namespace assay
