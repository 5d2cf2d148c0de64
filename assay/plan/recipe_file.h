// A recipe from a file of any format, checked against the model it is meant for. A model's file is a recipe too: that of its types.
// Non-goals: writing (recipe_format.h and file/atomic_writer.h).
#pragma once

#include <string>
#include <vector>

#include "assay/base/result.h"
#include "assay/plan/model_tensors.h"
#include "assay/plan/recipe_format.h"
#include "assay/plan/recipe_io.h"

namespace assay {

struct RecipeFileOptions {
  std::string from;                     // the format's name; empty: by content. "gguf": a model's file or directory
  const ModelTensors* model = nullptr;  // not at hand
  Overlap overlap = Overlap::kRefuse;
  bool force = false;  // a recipe made for another model is taken
};

struct RecipeFile {
  RecipeDocument document;
  std::string format;               // its name, or "gguf"
  std::vector<std::string> losses;  // what the file says and a document cannot
};

// Errors: recognise_recipe's, the format's, check_recipe's, check_same_model's, and kBadInput for files of more than 64 MiB.
Result<RecipeFile> read_recipe_file(const std::string& path, const RecipeFileOptions& options);

// As rules, for who applies them to a model (recipe_io.h): files of rules stay as they are, first match wins; every other format is checked
// against the model, as above, and becomes one rule per tensor. `losses`: RecipeFile's. kUnsupported: types that only ik_llama.cpp has.
Result<TensorTypeRules> read_recipe_rules(const std::string& path, const ModelTensors& model, bool force, std::vector<std::string>& losses);

}  // namespace assay
