// Whole recipes as variants of the unquantized model, encoded as the file will be: chosen codes where there are any, else nearest ones.
// Changes are kept, since windows, rounds and recipes ask for the same ones again. Internal to job/, for one thread.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

#include "assay/job/code_source.h"
#include "assay/job/measure_variants.h"
#include "assay/plan/recipe.h"
#include "assay/probe/changes.h"

namespace assay {

class RecipeVariants {
 public:
  // All outlive the variants made; `chosen` may be null. `cache_bytes`: of changes kept as float32.
  RecipeVariants(const Network& network, const ChangeSource& nearest, CodeSource* chosen, uint64_t cache_bytes)
      : network_(network), nearest_(nearest), chosen_(chosen), cache_bytes_(cache_bytes) {}

  // Tensors that the recipe does not name, or leaves at the type they have, are unchanged.
  NamedVariant variant(const Recipe& recipe);

 private:
  Result<WeightChange> change(const std::string& tensor, GgmlType type);

  const Network& network_;
  const ChangeSource& nearest_;
  CodeSource* chosen_;
  uint64_t cache_bytes_, kept_bytes_ = 0;
  std::map<std::string, at::Tensor> kept_;
};

}  // namespace assay
