#include "assay/plan/recipe_file.h"

#include <filesystem>

#include "assay/file/atomic_writer.h"
#include "assay/file/byte_source.h"
#include "assay/plan/foreign_types.h"

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

}  // namespace assay
