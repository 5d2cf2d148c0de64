#include "assay/plan/recipe_file.h"

#include <algorithm>
#include <filesystem>

#include "assay/file/atomic_writer.h"
#include "assay/file/byte_source.h"
#include "assay/plan/foreign_types.h"
#include "assay/plan/presets.h"

namespace assay {
namespace {

constexpr uint64_t kMostBytes = uint64_t{64} << 20;
constexpr std::string_view kMagic = "GGUF";

Result<bool> is_model(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error) || path.ends_with(".safetensors")) return true;
  ASSAY_ASSIGN(const auto source, open_file(path));
  if (source->size() < kMagic.size()) return false;
  std::string head(kMagic.size(), '\0');
  ASSAY_TRY(source->read(0, std::as_writable_bytes(std::span(head))));
  return head == kMagic;
}

Result<RecipeFile> types_of_model(const std::string& path) {
  ASSAY_ASSIGN(const ModelTensors model, open_model_tensors(path));
  RecipeFile file{{}, "gguf", {}};
  for (const TensorInfo& tensor : model.tensors) file.document.types[tensor.name] = find_type_size(find_type(tensor.type)->name)->name;
  return file;
}

}  // namespace

Result<RecipeFile> read_recipe_file(const std::string& path, const RecipeFileOptions& options) {
  bool model_file = options.from == "gguf";
  if (options.from.empty()) {
    ASSAY_ASSIGN(model_file, is_model(path));
  }
  RecipeFile file;
  if (model_file) {
    ASSAY_ASSIGN(file, types_of_model(path));
  } else {
    ASSAY_ASSIGN(const std::string text, read_text_file(path, kMostBytes));
    const RecipeFormat* format = nullptr;
    if (options.from.empty()) {
      ASSAY_ASSIGN(format, recognise_recipe(text, path));
    } else {
      ASSAY_ASSIGN(format, find_recipe_format(options.from));
    }
    RecipeReadOptions read;
    read.who = path;
    read.overlap = options.overlap;
    if (options.model != nullptr) read.tensors = options.model->tensors;
    ASSAY_ASSIGN(ReadRecipe recipe, format->read(text, read));
    file = {std::move(recipe.document), std::string(format->name), std::move(recipe.losses)};
  }
  if (options.model == nullptr) return file;
  // The model first: that tensors are missing is only a symptom of another model.
  if (!options.force) ASSAY_TRY(check_same_model(file.document, *options.model));
  ASSAY_TRY(check_recipe(file.document, options.model->tensors));
  return file;
}

Result<TensorTypeRules> read_recipe_rules(const std::string& path, const ModelTensors& model, bool force,
                                          std::vector<std::string>& losses) {
  ASSAY_ASSIGN(const bool model_file, is_model(path));
  TensorTypeRules rules;
  if (!model_file) {
    ASSAY_ASSIGN(const std::string text, read_text_file(path, kMostBytes));
    const auto format = recognise_recipe(text, path);
    // What is in no format is read as rules too: their reader says what is wrong with it.
    const auto is = [&](const RecipeFormat& one) { return format && (*format)->name == one.name; };
    if ((!format && !text.starts_with("QTYPE,") && !text.starts_with("{")) || is(kTensorTypesFormat) || is(kCustomQFormat) ||
        is(kThireusFormat)) {
      if (const Status added = rules.add_text(text); !added) return fail(added.error().code, path + ": " + added.error().message);
      return rules;
    }
  }
  RecipeFileOptions options;
  options.model = &model;
  options.force = force;
  ASSAY_ASSIGN(const RecipeFile file, read_recipe_file(path, options));
  losses.insert(losses.end(), file.losses.begin(), file.losses.end());
  ASSAY_ASSIGN(Recipe recipe, ggml_recipe(file.document));
  // A model's file names its vectors as well; nobody chooses their types.
  std::erase_if(recipe.types, [&](const auto& entry) {
    const auto tensor =
        std::find_if(model.tensors.begin(), model.tensors.end(), [&](const TensorInfo& one) { return one.name == entry.first; });
    return tensor != model.tensors.end() && !is_quantizable(*tensor);
  });
  ASSAY_TRY(rules.add_text(to_text(recipe)));
  return rules;
}

}  // namespace assay
