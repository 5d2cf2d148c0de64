// Importance matrices of a model: per linear input, the sum over tokens of the squared activation (methods.md 3.12).
// Non-goals: file formats and merging (file/imatrix.h).
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "assay/base/progress.h"
#include "assay/base/result.h"
#include "assay/base/unit_cache.h"
#include "assay/file/imatrix.h"
#include "assay/model/network.h"
#include "assay/text/windows.h"

namespace assay {

struct ImatrixOptions {
  bool process_output = false;  // also the head's input
  uint32_t save_frequency = 0;  // call `save` every so many windows; 0: never
};

// All tokens of all windows count. `save` (may be empty) gets the sums so far. Units: batches of windows, named by their order; the
// caller's key must hold windows and options.
Result<Imatrix> collect_imatrix(const Network& network, std::span<const Window> windows, const ImatrixOptions& options,
                                Progress& progress = silent_progress(), const std::function<Status(const Imatrix&)>& save = {},
                                UnitCache& units = no_unit_cache());

}  // namespace assay
