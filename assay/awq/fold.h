// Where a scale of input channels can be hidden in a model's files (AWQ, methods.md 4.3): the matrices that read one vector have their
// columns multiplied by s, and what makes that vector is divided by s. By names and shapes, for every family. Torch-free.
//   norm (weight and bias) -> q, k, v;  norm -> gate, up;  v -> o;  up -> down
// Left out, and said so: v -> o under grouped-query attention (several heads read one v), up -> down where an activation that is not
// linear lies between (GELU). Non-goals: choosing s (awq_search.h).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/file/gguf.h"
#include "assay/model/architecture.h"
#include "assay/model/edited_checkpoint.h"

namespace assay {

enum class FoldPlace : uint8_t { kAttentionInput, kAttentionOutput, kFfnInput, kFfnDown };
std::string_view name_of(FoldPlace place);  // "attention input", "attention output", "ffn input", "ffn down"

// `width` elements of a vector, or rows of a matrix, from `first` on.
struct Divided {
  std::string tensor;
  uint64_t first = 0;
};

struct FoldGroup {
  int layer = 0;
  FoldPlace place = FoldPlace::kAttentionInput;
  uint64_t width = 0;                // of the vector that is scaled
  std::vector<std::string> readers;  // their columns are multiplied
  std::vector<Divided> divided;      // what makes the vector
};

// In the order of the data, block after block. tensors: those the model has (biases may or may not be there).
std::vector<FoldGroup> fold_groups(const Hyper& hyper, std::span<const TensorInfo> tensors);
// What fold_groups() leaves out, a sentence each.
std::vector<std::string> fold_notes(const Hyper& hyper);

// The edits of one group under these scales [width], all above 0.
TensorEdits fold_edits(const FoldGroup& group, const std::vector<float>& scales);

// values: rows of as many columns as there are scales.
void multiply_columns(std::span<float> values, std::span<const float> scales);

}  // namespace assay
