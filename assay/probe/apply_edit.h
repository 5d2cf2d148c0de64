// What the edits of a variant do to a tensor's values where no encoder and no other file is needed: set, add, scale, noise, code levels,
// stored bytes. Torch-free. Non-goals: requantizing, taking from a file, thin matrices (resolve_variant.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/gguf.h"
#include "assay/model/architecture.h"
#include "assay/probe/variant.h"

namespace assay {

// A tensor as stored and as decoded, [rows, row length]; the values are changed in place.
struct EditedTensor {
  const TensorInfo* info = nullptr;
  const Hyper* hyper = nullptr;
  std::span<const std::byte> stored;
  std::span<float> values;
};

struct OldValue {
  uint64_t index = 0;  // row-major
  float value = 0;
};

bool applies_in_place(WeightEdit::Action action);
// How many weights an edit selects; of a byte 0: few and not known beforehand.
uint64_t selected(const WeightEdit& edit, const EditedTensor& tensor);

// `old` (may be null) grows by each weight changed and what it was, so that going back over it from its end undoes the edit.
// Of an edit that passed check(). Code and byte edits start from the stored codes, whatever other edits did to the value before.
Status apply_edit(const WeightEdit& edit, const EditedTensor& tensor, std::vector<OldValue>* old);

// What a code or byte edit does to the tensor's bytes, in place; tensor.stored and tensor.values are not looked at.
Status move_stored(const WeightEdit& edit, const EditedTensor& tensor, std::span<std::byte> bytes);

}  // namespace assay
