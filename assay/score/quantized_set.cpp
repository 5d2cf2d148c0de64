#include "assay/score/quantized_set.h"

#include "assay/base/text.h"

namespace assay {

TypeFit type_fit(std::span<const std::string> tensors, const std::function<bool(const std::string&)>& can_hold) {
  TypeFit fit;
  for (const std::string& tensor : tensors) (can_hold(tensor) ? fit.tensors : fit.left_out).push_back(tensor);
  return fit;
}

std::string note_of(const TypeFit& fit, GgmlType type) {
  if (fit.left_out.empty()) return {};
  return find_type(type)->name + std::string(": cannot hold ") + join(fit.left_out, ", ") + ", which stay as they are";
}

Result<std::shared_ptr<const StoredMatrices>> stored_at(GgmlType type, std::span<const std::string> tensors, const StoreMatrix& stored) {
  auto far = std::make_shared<StoredMatrices>();
  for (const std::string& tensor : tensors) {
    ASSAY_ASSIGN(StoredMatrix matrix, stored(tensor, type));
    far->emplace(tensor, std::move(matrix));
  }
  return std::shared_ptr<const StoredMatrices>(std::move(far));
}

}  // namespace assay
