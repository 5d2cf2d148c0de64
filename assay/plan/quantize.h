// Writes a model as GGUF with a type per tensor: presets, solved recipes, conversion. Exact sizes before a byte is written; one tensor in
// memory at a time. Metadata keys as llama-quantize writes them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "assay/base/progress.h"
#include "assay/base/result.h"
#include "assay/file/gguf.h"
#include "assay/file/imatrix.h"
#include "assay/model/checkpoint.h"
#include "assay/plan/presets.h"
#include "assay/plan/recipe.h"

namespace assay {

// The file to be: metadata and tensors with their types; bytes follow from it alone.
struct OutputFile {
  Metadata metadata;
  std::vector<TensorInfo> tensors;
  uint64_t file_bytes = 0;
  uint64_t tensor_bytes = 0;
  uint64_t parameters = 0;
  double bpw() const { return parameters ? 8.0 * static_cast<double>(tensor_bytes) / static_cast<double>(parameters) : 0; }
};

struct OutputRequest {
  Recipe recipe;                        // tensors it does not name keep their type
  uint32_t file_type = 0;               // general.file_type
  bool quantized = true;                // write general.quantization_version
  const Imatrix* imatrix = nullptr;     // its keys are recorded
  std::string imatrix_path;
};
Result<OutputFile> plan_output(const Checkpoint& checkpoint, const OutputRequest& request);

// One tensor in its new type. The stored bytes themselves if the type does not change.
Result<std::vector<std::byte>> encode_tensor(const Checkpoint& checkpoint, const TensorInfo& tensor, GgmlType type, const Imatrix* imatrix, int threads);

struct WriteModelOptions {
  bool force = false;
  int threads = 0;
};
Status write_model(const Checkpoint& checkpoint, const OutputFile& output, const Imatrix* imatrix, const std::string& path,
                   const WriteModelOptions& options, Progress& progress = silent_progress());

}  // namespace assay
