#include "assay/job/recipe_variants.h"

#include "assay/probe/resolve_variant.h"

namespace assay {

NamedVariant RecipeVariants::variant(const Recipe& recipe) {
  NamedVariant named;
  for (const auto& [tensor, type] : recipe.types) {
    const TensorInfo* info = network_.checkpoint().find(tensor);
    if (info == nullptr || info->type == type) continue;
    const std::string key = tensor + "=" + find_type(type)->name;
    named.name += key + ";";
    for (ResolvedEdit& edit : edits_of(network_, tensor, key, [this, tensor, type] { return change(tensor, type); }))
      named.variant.edits.push_back(std::move(edit));
  }
  return named;
}

Result<WeightChange> RecipeVariants::change(const std::string& tensor, GgmlType type) {
  const std::string key = tensor + "=" + find_type(type)->name;
  if (const auto kept = kept_.find(key); kept != kept_.end()) return WeightChange(kept->second);
  const bool covered = chosen_ != nullptr && chosen_->covers(tensor, type);
  ASSAY_ASSIGN(at::Tensor made, covered ? chosen_->change(tensor, type) : nearest_.requantized(tensor, type));
  const auto bytes = static_cast<uint64_t>(made.nbytes());
  if (kept_bytes_ + bytes <= cache_bytes_) {
    kept_bytes_ += bytes;
    kept_.emplace(key, made);
  }
  return WeightChange(std::move(made));
}

}  // namespace assay
