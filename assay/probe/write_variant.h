// Saves a model with a variant's changes as one GGUF that llama.cpp loads. Torch-free; docs/variants.md says what becomes of each change.
//   weights   stored_edit.h; the bytes of all other tensors are the model's
//   schedule  blocks left out, moved and repeated (weights copied) under new numbers, block count and per-block metadata with them;
//             a half that is left out: its last matrix and bias are zero, in the type they have
// Attention rules, patches of the residual stream and a gamma other than 1 have no place in a file: refused.
// Non-goals: measuring it (job/probe_variants.h), choosing types (plan/).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "assay/base/progress.h"
#include "assay/base/result.h"
#include "assay/file/imatrix.h"
#include "assay/model/checkpoint.h"
#include "assay/probe/stored_edit.h"
#include "assay/probe/variant.h"
#include "assay/probe/variant_families.h"

namespace assay {

// The metadata key with the variant's hash.
inline constexpr const char* kVariantHashKey = "assay.variant.hash";

struct WriteVariantOptions {
  const Imatrix* imatrix = nullptr;            // for `type`
  std::vector<Metadata::Entry> defaults = {};  // keys set where the model has none
  std::vector<std::string> inputs = {};        // files, beside the model's and the variant's, that must not be overwritten
  bool force = false;                          // replace an existing file
  int threads = 0;                             // 0: all
};

struct WrittenTensor {
  std::string name, source;  // in the file, in the model
  StoredForm form = StoredForm::kMoved;
  GgmlType from = GgmlType::kF32, to = GgmlType::kF32;
  StoredCounts counts;  // kZeroed: none are counted
};

struct WrittenVariant {
  std::vector<WrittenTensor> tensors;  // those with other bytes than the model's, in file order
  std::vector<int> blocks;             // of the model, in the file's order
  uint64_t file_bytes = 0, tensor_count = 0;
};

// Errors: check()'s, kUnsupported (what no file can hold, named), store_edits()' and the writer's. Nothing is left behind then.
Result<WrittenVariant> write_variant(const Checkpoint& checkpoint, const Variant& variant, const std::string& path,
                                     const WriteVariantOptions& options, Progress& progress = silent_progress());

// The variant of that name, or the only one where the name is empty. Error: kUsage.
Result<const Variant*> choose_variant(const VariantSet& set, const std::string& name);

}  // namespace assay
