#include "assay/plan/recipe_format.h"

#include <array>
#include <set>

#include "assay/base/text.h"
#include "assay/plan/foreign_types.h"

namespace assay {

std::span<const RecipeFormat> all_recipe_formats() {
  static const std::array formats = {kYamlFormat, kRampFormat, kThireusFormat, kEvoPressFormat, kCustomQFormat, kTensorTypesFormat};
  return formats;
}

Result<const RecipeFormat*> find_recipe_format(std::string_view name) {
  std::vector<std::string> names;
  for (const RecipeFormat& format : all_recipe_formats()) {
    if (format.name == lower_ascii(name)) return &format;
    names.emplace_back(format.name);
  }
  return fail(ErrorCode::kUsage, {"recipe format '" + printable(name) + "'", "is not known", "known: " + join(names, ", "), ""});
}

Result<const RecipeFormat*> recognise_recipe(std::string_view text, const std::string& who) {
  for (const RecipeFormat& format : all_recipe_formats())
    if (format.recognises(text)) return &format;
  std::string cause;
  if (text.starts_with("QTYPE,")) cause = "a published table of measurements";
  if (text.find("\"group_scores\"") != std::string_view::npos) cause = "RAMP's sensitivities";
  if (text.find("\"frobenius_rel\"") != std::string_view::npos) cause = "RAMP's quantization errors";
  return fail(ErrorCode::kBadInput, {who, "is a recipe of no known format", "", cause});
}

void add_document_losses(const RecipeDocument& document, std::vector<std::string>& losses) {
  if (document.provenance != RecipeProvenance{}) losses.push_back("where it came from (model, tool, hashes of inputs)");
  if (document.prediction != RecipePrediction{}) losses.push_back("what it predicts (damage, interval, bytes)");
}

RecipeDocument without_foreign_types(const RecipeDocument& document, std::string_view reader, std::vector<std::string>& losses) {
  RecipeDocument kept = document;
  std::set<std::string> types;
  const size_t removed = std::erase_if(kept.types, [&](const auto& entry) {
    const TypeSize* const type = find_type_size(entry.second);
    const bool foreign = type == nullptr || !type->ggml;
    if (foreign) types.insert(entry.second);
    return foreign;
  });
  if (removed > 0)
    losses.push_back(group_digits(removed) + " tensors of types that " + std::string(reader) +
                     " does not have: " + join({types.begin(), types.end()}, ", "));
  return kept;
}

}  // namespace assay
