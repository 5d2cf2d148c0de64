#include "assay/plan/recipe_size.h"

#include "assay/base/checked.h"
#include "assay/plan/foreign_types.h"

namespace assay {

const std::string& type_under(const RecipeDocument& document, const TensorInfo& tensor) {
  const auto found = document.types.find(tensor.name);
  return found == document.types.end() ? find_type_size(find_type(tensor.type)->name)->name : found->second;
}

Result<RecipeSize> recipe_size(const RecipeDocument& document, std::span<const TensorInfo> tensors, uint64_t alignment) {
  ASSAY_TRY(check_recipe(document, tensors));
  RecipeSize size;
  CheckedSize sum = 0, padded = 0, elements = 0;
  for (const TensorInfo& tensor : tensors) {
    const std::string& name = type_under(document, tensor);
    ASSAY_ASSIGN(const uint64_t bytes, tensor_bytes(*find_type_size(name), tensor));
    sum = sum + bytes;
    padded = padded + CheckedSize(bytes).round_up(alignment);
    elements = elements + tensor.elements();
    TypeShare& share = size.by_type[name];
    ++share.tensors;
    share.elements += tensor.elements();
    share.bytes += bytes;
  }
  if (!sum.fits(uint64_t{1} << 62) || !padded.valid() || !elements.fits(uint64_t{1} << 62))
    return fail(ErrorCode::kBadInput, {"recipe", "adds up to more bytes than can be counted", "", ""});
  size.tensor_bytes = *sum.value();
  size.padded_bytes = *padded.value();
  size.elements = *elements.value();
  return size;
}

}  // namespace assay
