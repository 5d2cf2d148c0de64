// A model some of whose tensors are changed by functions when they are read, as float32; no second model is in memory. Torch-free.
// Non-goals: which change (awq/, study/), running it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "assay/model/checkpoint.h"

namespace assay {

// In place, values in the tensor's row order. Called whenever the tensor is read, perhaps by several threads.
using TensorEdit = std::function<Status(const TensorInfo& tensor, std::span<float> values)>;
// By tensor name, one after the other.
using TensorEdits = std::map<std::string, std::vector<TensorEdit>>;

// `more` after what is there.
void append(TensorEdits& edits, const TensorEdits& more);

// threads: of decoding; 0: all. Errors: a tensor that `base` lacks (kMismatch).
Result<std::shared_ptr<const Checkpoint>> edited_checkpoint(std::shared_ptr<const Checkpoint> base, TensorEdits edits, int threads = 0);

}  // namespace assay
