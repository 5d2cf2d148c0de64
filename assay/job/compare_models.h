// Whole models against one base on the same windows. Internal to job/.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

#include "assay/base/progress.h"
#include "assay/model/network.h"
#include "assay/probe/observation.h"
#include "assay/text/windows.h"

namespace assay {

// The base's hidden states at the scored positions, batch by batch: computed once, used against any number of models.
class BaseRun {
 public:
  static Result<BaseRun> run(std::shared_ptr<const Network> base, std::span<const Window> windows, Progress& progress);
  // Runs `model` on the same windows. `each` (may be empty) is told the running observation after every batch.
  Result<Observation> compare(const Network& model, Progress& progress, const std::function<void(const Observation&)>& each = {}) const;

 private:
  std::shared_ptr<const Network> base_;
  std::span<const Window> windows_;
  std::vector<at::Tensor> hidden_;
};

}  // namespace assay
