// The job behind `assay quantize` and `assay convert`: llama-quantize's options as data, resolved to a file to be written, written, and
// reported tensor by tensor. Order of the rules: preset, then recipe, then --tensor-type, then the types of the embedding and the
// output matrix, then what is left alone; shapes that a type cannot hold fall back as in llama.cpp.
// Non-goals: parsing a command line, choosing types by measurement (allocate.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/progress.h"
#include "assay/base/result.h"
#include "assay/plan/quantize.h"
#include "assay/plan/recipe_io.h"

namespace assay {

struct QuantizeOptions {
  std::string preset;                            // "Q4_K_M"; empty: the recipe alone, other tensors stay as stored
  std::optional<TensorTypeRules> recipe;         // at least one of the two
  const Imatrix* imatrix = nullptr;              // importance weights
  std::string imatrix_path;                      // as it is recorded in the file
  std::vector<std::string> include_weights;      // use the imatrix only for tensors whose name holds one of these
  std::vector<std::string> exclude_weights;      // or for all but these; not both
  bool pure = false;                             // the preset's base type for every matrix
  TensorTypeRules tensor_types;                  // first match wins
  std::optional<GgmlType> output_tensor_type;    // of output.weight, or of a tied token embedding
  std::optional<GgmlType> token_embedding_type;  // of token_embd.weight
  bool leave_output_tensor = false;              // output.weight stays as stored
  bool keep_split = false;                       // as many parts as the input has
  std::vector<std::string> override_kv;          // "KEY=int|float|bool|str:VALUE"
  std::vector<uint32_t> prune_layers;            // blocks left out; the rest are renumbered
  int threads = 0;                               // 0: all
  bool force = false;                            // replace existing outputs
  bool dry_run = false;                          // sizes and types only
  TensorEncoder encode{};                        // asked for every tensor before the plain encoders; may be empty
};

struct QuantizedTensor {
  std::string name;
  std::vector<uint64_t> shape;  // row length first
  GgmlType from = GgmlType::kF32, to = GgmlType::kF32;
  uint64_t bytes = 0;
};

struct QuantizeReport {
  std::vector<QuantizedTensor> tensors;
  std::vector<std::string> paths;  // written, or to be written
  uint32_t file_type = 0;
  uint64_t input_bytes = 0;  // of the model's files
  uint64_t file_bytes = 0;   // of the result, to the byte
  uint64_t tensor_bytes = 0;
  double bpw = 0;  // over all tensor bytes
  std::vector<std::string> warnings;
};

// Errors: kUsage (options that contradict each other or name what does not exist), kMismatch (rules that match nothing, an imatrix of
// another model), kUnsupported (no encoder for a type), kBadInput (NaN or infinite weights), and the writer's.
Result<QuantizeReport> quantize_model(const Checkpoint& checkpoint, const QuantizeOptions& options, const std::string& path,
                                      Progress& progress = silent_progress());

// "llama.context_length=int:4096": int keeps the integer type the key has, else u32, i32 or i64, whichever holds the value first.
Result<Metadata::Entry> parse_override(std::string_view text, const Metadata& metadata);

// What `convert` writes: "auto" (as stored) or f32, f16, bf16, q8_0 for every matrix. Error: kUsage.
Result<OutputRequest> conversion_request(const Checkpoint& checkpoint, std::string_view outtype);

// general.file_type of a mix: that of the type most of the matrices' bytes have.
uint32_t file_type_of(std::span<const TensorInfo> tensors);

}  // namespace assay
