// One tensor of a checkpoint in a new type: decoded and encoded a slice of rows at a time, so that only the stored and the new
// bytes are ever whole in memory. Used by everything that writes or tries a type.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/gguf.h"
#include "assay/file/imatrix.h"
#include "assay/model/checkpoint.h"

namespace assay {

// True if the type has an encoder here.
bool can_encode(GgmlType type);

// The tensor in the type. The stored bytes themselves, checked for NaN and infinities, if the type does not change.
// Importance: the imatrix's entry under the checkpoint's name of the tensor, if there is one; imatrix may be nullptr.
// Errors: kBadInput (NaN or infinite weights: tensor and position), kMismatch (an imatrix entry of another width),
// kUnsupported (no encoder).
Result<std::vector<std::byte>> encode_tensor(const Checkpoint& checkpoint, const TensorInfo& tensor, GgmlType type, const Imatrix* imatrix,
                                             int threads);
// The same into `out`, which must have the tensor's bytes in the new type.
Status encode_tensor_into(const Checkpoint& checkpoint, const TensorInfo& tensor, GgmlType type, const Imatrix* imatrix, int threads,
                          std::span<std::byte> out);

}  // namespace assay
