// Whole models against one base on the same windows. Internal to job/.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <span>

#include "assay/base/progress.h"
#include "assay/base/unit_cache.h"
#include "assay/model/network.h"
#include "assay/probe/observation.h"
#include "assay/text/windows.h"

namespace assay {

// Makes a model that is only needed if something about it is not known yet.
using NetworkSource = std::function<Result<std::shared_ptr<const Network>>()>;

// Runs the base when it is first asked for; its hidden states at the scored positions are kept, batch by batch, for the next models.
class BaseRun {
 public:
  // `windows` must outlive the run. `memory`: bytes for hidden states; what does not fit is computed again for each model.
  BaseRun(std::shared_ptr<const Network> base, std::span<const Window> windows, uint64_t memory)
      : base_(std::move(base)), windows_(windows), memory_(memory) {}
  // The model against the base. Units: batches of windows; the caller's key must hold both models and the windows. `each` (may be empty)
  // is told the running observation after every batch.
  Result<Observation> compare(const NetworkSource& model, Progress& progress, UnitCache& units,
                              const std::function<void(const Observation&)>& each = {});

 private:
  Result<at::Tensor> hidden(size_t begin, std::span<const Window> batch);
  std::shared_ptr<const Network> base_;
  std::span<const Window> windows_;
  uint64_t memory_, kept_bytes_ = 0;
  std::map<size_t, at::Tensor> hidden_;  // by the batch's first window
};

}  // namespace assay
