// What a variant's edits of one tensor become in a file: another type, other bytes. Torch-free.
//   code and byte moves alone       the stored bytes, moved; every other byte as it was
//   one `type` with share 1         the tensor encoded at that type
//   one `from` with share 1         the other model's bytes in its type
//   everything else, mixtures too   new values, rounded to the stored type where that is a float type, else as F32
// F32 is a type that llama.cpp loads for every matrix of the architectures here.
// Non-goals: blocks and metadata (write_variant.h); what the values are before they are stored is apply_edit.h's and the sweep's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/imatrix.h"
#include "assay/model/architecture.h"
#include "assay/model/checkpoint.h"
#include "assay/probe/edit_files.h"
#include "assay/probe/variant.h"

namespace assay {

enum class StoredForm : uint8_t { kMoved, kEncoded, kTaken, kRounded, kWidened, kZeroed };
// "moved", "encoded", "taken", "rounded", "widened", "zeroed" (the last is write_variant.h's: a half that is left out)
std::string_view name_of(StoredForm form);

struct StoredEdit {
  StoredForm form = StoredForm::kMoved;
  GgmlType type = GgmlType::kF32;
};

struct EditSource {
  const Checkpoint& checkpoint;
  const Hyper& hyper;
  const Imatrix* imatrix = nullptr;  // for `type`; by the tensor's name
  int threads = 0;                   // 0: all
};

// How the tensor will be stored; opens the files that its edits name and looks at their shapes. `edits`: all of this tensor, in order.
// Errors: kMismatch (a file of another model), and those of opening it.
Result<StoredEdit> plan_edits(std::span<const WeightEdit> edits, const TensorInfo& tensor, EditFiles& files);

// Of the tensor's weights.
struct StoredCounts {
  uint64_t changed = 0;     // other values than the model's
  uint64_t rounded = 0;     // meant to be another value than the stored type holds
  uint64_t non_finite = 0;  // NaN or infinite: a byte move can do that
};

// Fills `out`, the tensor's bytes in plan.type. Errors: kMismatch (moves that one set of bytes cannot hold together), kBadInput (values
// that are not finite, or too large for the stored type).
Result<StoredCounts> store_edits(std::span<const WeightEdit> edits, const TensorInfo& tensor, const StoredEdit& plan,
                                 const EditSource& source, EditFiles& files, std::span<std::byte> out);

}  // namespace assay
