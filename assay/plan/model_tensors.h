// The tensors of a model as recipes need them, names and shapes, from whatever is at hand: a GGUF file, a Hugging Face directory or a
// .safetensors file (Checkpoint), or a tensor map of the GGUF tool suite ("tensors.bf16.map"), which has no weights.
// Non-goals: models on the hub, reading weights.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/gguf.h"
#include "assay/model/checkpoint.h"
#include "assay/plan/damage_table.h"
#include "assay/plan/recipe_document.h"

namespace assay {

struct ModelTensors {
  std::string path;
  std::vector<TensorInfo> tensors;
  std::shared_ptr<const Checkpoint> checkpoint;  // nullptr: of a map
};
// A path that ends in ".map" is a map. Errors: those of the readers; kBadInput for a map without tensors.
Result<ModelTensors> open_model_tensors(const std::string& path);

// kMismatch: the recipe was made for another model, by the hash of its files or, for a map or where that is not recorded, of its structure.
// Recipes without hashes pass.
Status check_same_model(const RecipeDocument& document, const ModelTensors& model);
// The same of a damage table, which names the model's files alone: nothing to say, or a warning - it names no model, or `force` takes it
// all the same. kMismatch names both hashes.
Result<std::string> check_same_model(const DamageTable& table, const Checkpoint& checkpoint, const std::string& path, bool force);
// Records this model in the recipe.
Status record_model(const ModelTensors& model, RecipeProvenance& provenance);

}  // namespace assay
