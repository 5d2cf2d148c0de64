// Log-likelihoods of items' options under a model, or under one changed model. An item's shared beginning runs once; items lie side by side
// without padding. On the CPU an option's value is bit for bit that of its tokens run alone (rule of rows).
// Non-goals: tokens (encode_items.h), what is made of the values (task_score.h), several changed models at once.
#pragma once

#include <span>
#include <vector>

#include "assay/base/progress.h"
#include "assay/base/result.h"
#include "assay/model/network.h"
#include "assay/probe/sweep.h"
#include "assay/tasks/encode_items.h"

namespace assay {

struct RunItemsOptions {
  const ResolvedVariant* variant = nullptr;  // null: the model itself
  int64_t rows_per_batch = 1024;             // rows multiplied together
  uint64_t memory = uint64_t{512} << 20;     // bytes of residual streams; a changed matrix is made once for as many items as fit
};

// Sum of log p over the scored tokens, nats: [item][option]. Errors: logits that are not finite, attention rules or patches in the variant
// (kUnsupported), a failing edit, kInterrupted.
Result<std::vector<std::vector<double>>> run_items(const Network& network, std::span<const EncodedItem> items,
                                                   const RunItemsOptions& options, Progress& progress = silent_progress());

}  // namespace assay
