// The file to be written: which tensors, in which types, with which metadata, and its exact bytes before one is written; then the
// writing, one tensor in memory at a time. Metadata keys as llama-quantize writes them.
// Non-goals: choosing the types (presets.h, recipe_io.h, allocate.h), the options of a command (quantize_job.h).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "assay/base/progress.h"
#include "assay/base/result.h"
#include "assay/file/gguf.h"
#include "assay/file/imatrix.h"
#include "assay/model/checkpoint.h"
#include "assay/plan/encode_tensor.h"
#include "assay/plan/presets.h"
#include "assay/plan/recipe.h"

namespace assay {

// A checkpoint's tensors without the blocks that are left out; the blocks behind them move up.
struct KeptTensors {
  std::vector<TensorInfo> tensors;   // under their new names
  std::vector<std::string> sources;  // the checkpoint's name of each
};
// Errors: kUsage (a block the model does not have; every block left out).
Result<KeptTensors> kept_tensors(const Checkpoint& checkpoint, std::span<const uint32_t> prune_layers);

struct OutputRequest {
  Recipe recipe;                           // by the new names; tensors it does not name keep their type
  uint32_t file_type = 0;                  // general.file_type
  bool quantized = true;                   // write general.quantization_version
  const Imatrix* imatrix = nullptr;        // its keys are recorded
  std::string imatrix_path;                // as it is recorded
  std::vector<uint32_t> prune_layers;      // blocks left out
  std::vector<Metadata::Entry> overrides;  // set last
  bool keep_split = false;                 // as many parts as the checkpoint has
};

// Metadata and tensors with their types; the bytes follow from it alone.
struct OutputFile {
  Metadata metadata;  // of the first part, without the split.* keys
  std::vector<TensorInfo> tensors;
  std::vector<std::string> sources;  // the checkpoint's name of each tensor
  uint32_t parts = 1;
  uint64_t alignment = 0;     // every tensor's bytes are rounded up to it in the file
  uint64_t header_bytes = 0;  // of all parts, padding included
  uint64_t file_bytes = 0;    // of all parts: headers, tensors, padding
  uint64_t tensor_bytes = 0;  // without padding
  uint64_t parameters = 0;
  double bpw() const { return parameters ? 8.0 * static_cast<double>(tensor_bytes) / static_cast<double>(parameters) : 0; }
};
// Errors: kMismatch (the recipe names a tensor the model lacks), kBadInput (a type its rows cannot hold), and gguf_layout's.
Result<OutputFile> plan_output(const Checkpoint& checkpoint, const OutputRequest& request);

// Encodes one of the checkpoint's tensors into `out`; false: it leaves this tensor to encode_tensor_into().
using TensorEncoder = std::function<Result<bool>(const TensorInfo& source, GgmlType type, std::span<std::byte> out)>;

struct WriteModelOptions {
  bool force = false;
  int threads = 0;         // 0: all
  TensorEncoder encode{};  // asked first; may be empty
};
// Writes the file, or the parts "x-00001-of-0000N.gguf" of "x.gguf". A part appears whole or not at all; if one fails, those written
// before it are removed. Errors: write_gguf's and encode_tensor's.
Status write_model(const Checkpoint& checkpoint, const OutputFile& output, const Imatrix* imatrix, const std::string& path,
                   const WriteModelOptions& options, Progress& progress = silent_progress());
// The names of the files write_model makes.
std::vector<std::string> output_paths(const OutputFile& output, const std::string& path);

}  // namespace assay
