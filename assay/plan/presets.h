// llama.cpp's stock mixes as rules: which type every tensor gets under "Q4_K_M" and the like (methods.md 4.2.6).
// Checked against files made by llama.cpp itself (tests/plan/presets_interop_test.cpp).
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
  uint32_t file_type;  // general.file_type
  GgmlType base;
};

std::span<const Preset> all_presets();          // in the order of their size, small first
Result<const Preset*> find_preset(std::string_view name);  // case-insensitive; kUsage lists the known ones

// What the rules look at besides the tensor.
struct PresetContext {
  uint32_t heads = 1, kv_heads = 1;
  bool has_imatrix = false;
  bool pure = false;  // every matrix gets the base type
};
PresetContext preset_context(const Metadata& metadata, bool has_imatrix);

// True for tensors that are quantized at all: matrices named "*.weight" except norms, routers and position tables.
bool is_quantizable(const TensorInfo& tensor);
// The type after llama.cpp's fallback for rows that do not divide into blocks.
GgmlType fallback_type(GgmlType wanted, uint64_t row_length);
// Type of every quantizable tensor.
Recipe preset_recipe(const Preset& preset, std::span<const TensorInfo> tensors, const PresetContext& context);

}  // namespace assay
