#include "assay/plan/recipe_document.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "assay/base/nearest_names.h"
#include "assay/base/sha256.h"
#include "assay/base/text.h"
#include "assay/plan/foreign_types.h"

namespace assay {
namespace {

constexpr size_t kNamesShown = 3;

}  // namespace

RecipeDocument document_of(const Recipe& recipe) {
  RecipeDocument document;
  for (const auto& [name, type] : recipe.types) document.types[name] = find_type_size(find_type(type)->name)->name;
  return document;
}

Result<Recipe> ggml_recipe(const RecipeDocument& document) {
  Recipe recipe;
  std::set<std::string> foreign;
  for (const auto& [name, type_name] : document.types) {
    const TypeSize* const type = find_type_size(type_name);
    if (type == nullptr) return unknown_type("recipe: tensor '" + printable(name) + "'", type_name);
    if (type->ggml)
      recipe.types[name] = *type->ggml;
    else
      foreign.insert(type->name);
  }
  if (!foreign.empty())
    return fail(ErrorCode::kUnsupported, {"recipe", "uses " + join({foreign.begin(), foreign.end()}, ", "), "types of ggml can be written",
                                          "ik_llama.cpp's own types"});
  return recipe;
}

Status check_recipe(const RecipeDocument& document, std::span<const TensorInfo> tensors) {
  std::unordered_map<std::string_view, const TensorInfo*> known;
  std::vector<std::string> names;
  for (const TensorInfo& tensor : tensors) {
    known[tensor.name] = &tensor;
    names.push_back(tensor.name);
  }
  std::vector<std::string> unknown;
  for (const auto& [name, type_name] : document.types) {
    const auto found = known.find(name);
    if (found == known.end()) {
      unknown.push_back(name);
      continue;
    }
    const TypeSize* const type = find_type_size(type_name);
    if (type == nullptr) return unknown_type("recipe: tensor '" + printable(name) + "'", type_name);
    if (const auto bytes = tensor_bytes(*type, *found->second); !bytes)
      return fail(ErrorCode::kBadInput, "recipe: " + bytes.error().message);
  }
  if (unknown.empty()) return {};
  std::vector<std::string> shown;
  for (size_t i = 0; i < std::min(unknown.size(), kNamesShown); ++i) shown.push_back("'" + printable(unknown[i]) + "'");
  const std::string more = unknown.size() > kNamesShown ? " and " + group_digits(unknown.size() - kNamesShown) + " more" : "";
  const std::vector<std::string> near = nearest_names(unknown[0].substr(0, 128), names, kNamesShown);
  return fail(ErrorCode::kMismatch, {"recipe", "names " + join(shown, ", ") + more + ", which the model lacks", "its tensors are needed",
                                     near.empty() ? "a recipe of another model?" : "did you mean " + join(near, ", ") + "?"});
}

std::string structure_sha256(std::span<const TensorInfo> tensors) {
  std::vector<std::string> lines;
  for (const TensorInfo& tensor : tensors) {
    std::string line = tensor.name;
    for (const uint64_t size : tensor.dims) line += ' ' + std::to_string(size);
    lines.push_back(line + '\n');
  }
  std::sort(lines.begin(), lines.end());
  Sha256 hash;
  for (const std::string& line : lines) hash.add(std::string_view(line));
  return hash.hex();
}

}  // namespace assay
