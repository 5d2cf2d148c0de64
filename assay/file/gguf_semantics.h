// What a model's metadata must satisfy before anyone uses it as a size, an index or a divisor. Knows the key names that all
// architectures share, not the architectures: which tensors a model needs and what shapes they have is checked in model/.
// Works on any metadata in GGUF terms, also that of a translated Hugging Face directory.
#pragma once

#include <span>

#include "assay/base/result.h"
#include "assay/file/gguf.h"
#include "assay/file/metadata.h"

namespace assay {

// Tokenizer arrays: element types, equal lengths. Blocks: the count is that of the tensors named "blk.N.". Attention, where
// there are attention tensors: head counts and widths positive and dividing each other. kBadInput names the key and what it needs.
Status check_model_semantics(const Metadata& metadata, std::span<const TensorInfo> tensors);

}  // namespace assay
