// A model on the straight path from one to another: some of its matrices at w + t (q - w), decoded, as float32. Torch-free.
// Non-goals: making q (plan/, codes/), running it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "assay/model/checkpoint.h"

namespace assay {

// A matrix as stored.
struct StoredMatrix {
  GgmlType type = GgmlType::kF32;
  std::vector<std::byte> bytes;
};
// The far end of the path, by tensor name. Only those named change.
using StoredMatrices = std::map<std::string, StoredMatrix>;

// t: 0 is `base`, 1 is `far`, exactly at both; any other number too. threads: of decoding; 0: all.
// Errors: a tensor that `base` lacks, bytes of the wrong number (kMismatch).
Result<std::shared_ptr<const Checkpoint>> interpolated_checkpoint(std::shared_ptr<const Checkpoint> base,
                                                                  std::shared_ptr<const StoredMatrices> far, double t, int threads = 0);

// q - w of a matrix, in its rows' order. Errors: those above, weights that are not finite.
Result<std::vector<float>> stored_change(const Checkpoint& base, const std::string& tensor, const StoredMatrix& far, int threads = 0);

// The named matrices of another model, as stored there. Errors: one is missing or has another shape (kMismatch).
Result<StoredMatrices> stored_matrices_of(const Checkpoint& other, const Checkpoint& base, std::span<const std::string> tensors);

}  // namespace assay
