// AWQ's search for scales and clips (methods.md 4.3), block after block on the inputs that the unquantized model has there.
//   s(a) = max(m^a, 1e-4) / sqrt(max * min), m = mean |x| by channel, a = 0, 1/20, ... 1 (the published program stops at 0.95)
// The scale of a vector is the one whose rounded readers have the least squared error of output, over all calibration tokens:
// |dW x|^2 summed over the readers = tr(dW H dW^T) with H the inputs' mean second moments. Deterministic, whatever the threads.
// Departures from the published program: that loss (theirs, of the whole attention's or MLP's output, is AwqLoss::kModule), and clips
// chosen under the group's block of H over all tokens instead of 512 drawn ones. Non-goals: rounding (awq.h), files.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <span>
#include <vector>

#include "assay/awq/awq.h"
#include "assay/awq/awq_options.h"
#include "assay/base/progress.h"
#include "assay/base/result.h"
#include "assay/base/unit_cache.h"
#include "assay/model/network.h"
#include "assay/text/windows.h"

namespace assay {

// One group per matrix of the blocks, with nothing to be divided: AWQ-lite's.
std::vector<FoldGroup> single_groups(const Network& network);

struct AwqSearch {
  const Network& network;     // whose activations are taken
  const Checkpoint& weights;  // whose matrices are scaled: the network's own, or edited ones
  std::vector<FoldGroup> groups;
  AwqOptions options;
  WeightRounder rounder;  // what the losses are of
};
// Units: blocks ("blk.0"); the key is the caller's. Errors: kInterrupted, weights or activations that are not finite.
Result<AwqResult> search_awq(const AwqSearch& search, std::span<const Window> windows, UnitCache& units = no_unit_cache(),
                             Progress& progress = silent_progress());

// s(alpha) of mean |x|. lite: (m + 1e-8)^a, the source's.
std::vector<float> scales_at(std::span<const float> mean, double alpha, bool lite = false);
// Row by row e H e^T of e [rows, width] under the symmetric H [width, width], summed in order.
double output_error(const at::Tensor& e, const at::Tensor& h);
// The clips of a matrix [rows, columns] whose inputs have the second moments H; group by group of the grid.
AwqClip search_clips(const at::Tensor& weight, const at::Tensor& h, const GroupGrid& grid, int threads);

}  // namespace assay
