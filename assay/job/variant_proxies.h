// Cheap measures of how far a changed model is from its base, without running it on tasks: change of the weights, and of each block's
// output on the base's own stream. Internal to job/. Non-goals: KL and the like (measure_variants.h).
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "assay/job/inputs.h"
#include "assay/probe/sweep.h"

namespace assay {

class VariantProxies {
 public:
  // The base's streams on these windows are kept, block by block.
  static Result<VariantProxies> make(std::shared_ptr<const Network> network, std::span<const Window> windows);

  // |dW| / |W| over all matrices, a tied one once. A part of a block that is left out counts as its last matrix set to 0.
  Result<double> weight_error(const ResolvedVariant& variant) const;
  // Of each block, on what the base gives it: |changed output - output|^2 / |output - input|^2, summed; embedding and head likewise,
  // relative to their outputs. Repeated blocks: kUnsupported.
  Result<double> reconstruction(const ResolvedVariant& variant) const;

 private:
  std::shared_ptr<const Network> network_;
  int64_t sequences_ = 0, length_ = 0;
  at::Tensor tokens_;                // [rows]
  std::vector<at::Tensor> streams_;  // [rows, d] before the first block and after each
  double all_weights_ = 0;           // |W|^2
};

}  // namespace assay
