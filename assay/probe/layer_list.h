// Lists of layers as people write them: "0-5,9". Non-goals: naming tensors.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"

namespace assay {

// First and last of a run of layers.
struct LayerRange {
  int first = 0, last = 0;
  friend bool operator==(const LayerRange&, const LayerRange&) = default;
};

// "0-5,9" -> {0, 5}, {9, 9}. Errors, kUsage: not of this form, a range that runs backwards.
Result<std::vector<LayerRange>> parse_layers(std::string_view text);
// Ascending, each once; no ranges: all of 0 .. layers - 1. Error, kMismatch: a layer past the end.
Result<std::vector<int>> layers_of(const std::vector<LayerRange>& ranges, int layers);

}  // namespace assay
