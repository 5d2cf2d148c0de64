// How large a file may be: the three ways to say it, as one number of bytes.
// Non-goals: choosing types (allocate.h), sizes of memory (base/text.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "assay/base/result.h"
#include "assay/plan/quantize.h"

namespace assay {

// Exactly one member is set.
struct BudgetRequest {
  std::optional<double> bpw;        // bits per weight over all tensor bytes, norms and biases included, padding not
  std::optional<std::string> size;  // of the file: "700MiB", or "30%" of the input's files
  std::optional<std::string> like;  // the bytes of a preset's file written by us with the same request
};

// The budget as bytes of the file to be written. `request`: how it will be written (metadata; its recipe is ignored). A budget in bits
// per weight leaves no allowance for padding, so that the tensors alone keep to it. Errors: kUsage.
Result<uint64_t> budget_bytes(const Checkpoint& checkpoint, const BudgetRequest& budget, const OutputRequest& request);

}  // namespace assay
