// A model on disk, whatever its form, seen as GGUF: metadata with GGUF keys, tensors with GGUF names and shapes.
// A Hugging Face directory is translated on the fly (names, Q/K row order, Conv1D transposition, tokenizer keys).
// Non-goals: running the model (model/network.h).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/gguf.h"
#include "assay/file/metadata.h"

namespace assay {

class Checkpoint {
 public:
  virtual ~Checkpoint() = default;
  // A .gguf file (split: its first part), a Hugging Face directory, or a .safetensors file beside its config.json.
  static Result<std::shared_ptr<const Checkpoint>> open(const std::string& path);

  virtual const Metadata& metadata() const = 0;
  virtual const std::vector<TensorInfo>& tensors() const = 0;  // offsets mean nothing here
  virtual const TensorInfo* find(std::string_view name) const = 0;
  // Stored bytes in GGUF row order, whole tensor.
  virtual Result<std::vector<std::byte>> read(const TensorInfo& tensor) const = 0;
  virtual std::vector<std::string> paths() const = 0;  // every file it was read from
  virtual std::vector<std::string> warnings() const = 0;
  virtual uint64_t file_bytes() const = 0;

  // Decoded to float32 in GGUF row order. NaN or infinite values: kBadInput naming the tensor and the first position.
  Result<std::vector<float>> read_float(const TensorInfo& tensor, int threads = 1) const;
};

}  // namespace assay
