// Matrices of a model stored at one type: which of them can hold it, and their bytes. The far end of a path (path_gradients.h).
// Torch-free. Non-goals: encoding (quant/), recipes of several types (plan/).
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "assay/model/interpolated_checkpoint.h"

namespace assay {

struct TypeFit {
  std::vector<std::string> tensors, left_out;  // the second cannot hold the type and stay as they are
};
// In the order given. can_hold: asked once for each.
TypeFit type_fit(std::span<const std::string> tensors, const std::function<bool(const std::string& tensor)>& can_hold);
// For people: "Q4_K: cannot hold blk.0.ffn_down.weight, which stay as they are"; empty where all fit.
std::string note_of(const TypeFit& fit, GgmlType type);

using StoreMatrix = std::function<Result<StoredMatrix>(const std::string& tensor, GgmlType type)>;
Result<std::shared_ptr<const StoredMatrices>> stored_at(GgmlType type, std::span<const std::string> tensors, const StoreMatrix& stored);

}  // namespace assay
