// Whether a variant can apply to a model, from names, shapes and types alone: everything that cannot is refused by name before anything
// runs. Torch-free, reads no weights and none of the files that a variant names (whoever opens those checks their tensors' shapes).
// Non-goals: whether a change does anything (a code at the end of its range stays; resolve_variant.h).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/gguf.h"
#include "assay/model/architecture.h"
#include "assay/probe/schedule.h"
#include "assay/probe/variant.h"

namespace assay {

// What a check and the families need of a model.
class ModelShape {
 public:
  ModelShape(Hyper hyper, std::span<const TensorInfo> tensors);
  const Hyper& hyper() const { return hyper_; }
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  const TensorInfo* find(const std::string& name) const;  // nullptr: not there

 private:
  Hyper hyper_;
  std::vector<TensorInfo> tensors_;
  std::unordered_map<std::string, size_t> index_;
};

// Errors: kNotFound (no such tensor), kMismatch (everything else), kUnsupported (a type without codes, a type that cannot be written).
Status check(const Variant& variant, const ModelShape& shape);

// The first block that runs and whose output may differ from the model's: where a patch of the form `first` goes.
// nullopt: no block's output changes (edits of the output matrix only, or of nothing). Of a variant that passed check().
std::optional<int> first_changed_block(const Variant& variant, std::span<const Step> steps);

}  // namespace assay
