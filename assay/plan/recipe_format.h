// The formats that recipes are kept in, one file each, and the list of them. Reading and writing lose nothing silently: what a format
// cannot express comes back as a list of losses.
//   tensor-types  llama-quantize --tensor-type-file (safe under first- and last-match rules, lower-cased, anchored)
//   custom-q      ik_llama.cpp's --custom-q, "regex=type,regex=type"
//   thireus       .recipe files of the GGUF tool suite
//   evopress      configuration lines of EvoPress and the GGUF quantization toolkit
//   ramp          RAMP's configuration, JSON, a type per decision group
//   yaml          our own: types, provenance, prediction
// Non-goals: files and their names, models (model_tensors.h), what quantize does with a recipe.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/gguf.h"
#include "assay/plan/recipe_document.h"
#include "assay/plan/type_rules.h"

namespace assay {

struct RecipeReadOptions {
  std::string who = "recipe";                // opens every message
  std::span<const TensorInfo> tensors = {};  // of the model; empty: not at hand
  Overlap overlap = Overlap::kRefuse;
};

struct ReadRecipe {
  RecipeDocument document;
  std::vector<std::string> losses;  // what the file says and a document cannot
};

struct WrittenRecipe {
  std::string text;
  std::vector<std::string> losses;  // what the document says and the format cannot
};

struct RecipeFormat {
  std::string_view name;
  std::string_view what;
  bool (*recognises)(std::string_view text);
  Result<ReadRecipe> (*read)(std::string_view text, const RecipeReadOptions& options);
  // `tensors`: as above; formats that need them say so (kUsage).
  Result<WrittenRecipe> (*write)(const RecipeDocument& document, std::span<const TensorInfo> tensors);
  bool keeps_provenance = false;  // and the prediction
};

// In the order in which they are tried on a text.
std::span<const RecipeFormat> all_recipe_formats();
Result<const RecipeFormat*> find_recipe_format(std::string_view name);  // kUsage lists them
// kBadInput: none; what else the file may be, where that is clear.
Result<const RecipeFormat*> recognise_recipe(std::string_view text, const std::string& who);

// The formats, for the list.
extern const RecipeFormat kTensorTypesFormat, kCustomQFormat, kThireusFormat, kEvoPressFormat, kRampFormat, kYamlFormat;

// "provenance", "prediction": those of them that the document has and a format without room for them loses.
void add_document_losses(const RecipeDocument& document, std::vector<std::string>& losses);
// Tensors whose types only ik_llama.cpp has are taken out; named in a loss.
RecipeDocument without_foreign_types(const RecipeDocument& document, std::string_view reader, std::vector<std::string>& losses);

}  // namespace assay
