// Exact bytes of a model's tensors under a recipe, from names and shapes alone: a header, a Hugging Face directory or a tensor map will do.
// Tensors that the recipe does not name keep their type. With the header's bytes of plan_output (quantize.h) this is the file's size.
// Non-goals: metadata, splitting into parts, memory at run time.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "assay/base/result.h"
#include "assay/plan/recipe_document.h"

namespace assay {

struct TypeShare {
  uint64_t tensors = 0, elements = 0, bytes = 0;
};

struct RecipeSize {
  uint64_t tensor_bytes = 0;
  uint64_t padded_bytes = 0;  // each tensor rounded up to the alignment, as in a file
  uint64_t elements = 0;
  std::map<std::string, TypeShare> by_type;
  double bpw() const { return elements ? 8.0 * static_cast<double>(tensor_bytes) / static_cast<double>(elements) : 0; }
};

// The type of a tensor under the recipe: TypeSize::name.
const std::string& type_under(const RecipeDocument& document, const TensorInfo& tensor);

// Errors: check_recipe's, and kBadInput for sums that overflow.
Result<RecipeSize> recipe_size(const RecipeDocument& document, std::span<const TensorInfo> tensors, uint64_t alignment = 32);

}  // namespace assay
