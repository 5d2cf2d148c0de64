// llama.cpp's stock mixes as rules: which type every tensor gets under "Q4_K_M" and the like (methods.md 4.2.6). Facts observed
// from its library; checked against files it writes (tests/plan/presets_interop_test.cpp) and against a committed table of them.
// Non-goals: mixes below Q2_K, architectures with rules of their own (falcon), encoding (quantize.h).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/gguf.h"
#include "assay/file/metadata.h"
#include "assay/plan/recipe.h"

namespace assay {

struct Preset {
  std::string_view name;
  uint32_t file_type;             // general.file_type
  GgmlType base;                  // of every tensor no rule names
  bool needs_importance = false;  // llama.cpp refuses to write it without an imatrix
};

std::span<const Preset> all_presets();                     // in the order of their size, small first
Result<const Preset*> find_preset(std::string_view name);  // case-insensitive; kUsage lists the known ones
// general.file_type of a file whose bytes are mostly of this type, as llama.cpp guesses it (Q4_K: "mostly Q4_K_M").
uint32_t file_type_of(GgmlType most_common);

// What the rules look at besides the tensor. All of it describes the model before layers are pruned.
struct PresetContext {
  std::string architecture;
  uint32_t heads = 1, kv_heads = 1;
  uint32_t blocks = 0;  // 0: as many as the tensors show
  uint32_t experts = 0;
  bool has_imatrix = false;
  bool pure = false;  // every matrix gets the base type
};
PresetContext preset_context(const Metadata& metadata, bool has_imatrix);

// True for tensors that are quantized at all: matrices named "*.weight" except norms, routers and position tables.
bool is_quantizable(const TensorInfo& tensor);
// True for the matrix that makes the logits: output.weight, or token_embd.weight where the model is tied (has no output.weight).
bool is_output_matrix(const TensorInfo& tensor, bool tied);
bool is_tied(std::span<const TensorInfo> tensors);

// The type after llama.cpp's fallback for rows that do not divide into blocks; F16 where nothing else fits.
GgmlType fallback_type(GgmlType wanted, uint64_t row_length);
// Type of every quantizable tensor, fallback applied. Order of the tensors does not matter.
Recipe preset_recipe(const Preset& preset, std::span<const TensorInfo> tensors, const PresetContext& context);

}  // namespace assay
