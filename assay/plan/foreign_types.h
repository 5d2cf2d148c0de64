// Bytes of every type that recipes of the field name: ggml's, and those that ik_llama.cpp adds (which GGUF-Tool-Suite's recipes use). A row
// of one of the latter may begin with a scale of its own, and some are stored with rows interleaved; the name says it ("iq4_ks_r4").
// Sources: block sizes and bytes, ik_llama.cpp's type table (GGUF-Tool-Suite's BPW_TABLE and its tensor maps agree); bytes before each row,
// GGUF-Tool-Suite's ADDITIONAL_SCALE_FACTOR_TABLE (its maps leave them out).
// Non-goals: encoding or decoding these types (quant/), the numbers that files store for them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "assay/base/result.h"
#include "assay/file/gguf.h"

namespace assay {

struct TypeSize {
  std::string name;                // as the tools write it: "q4_K", "q8_KV", "iq4_ks_r4"
  uint32_t block_size = 1;         // weights
  uint32_t block_bytes = 0;        // of a block
  uint32_t row_bytes = 0;          // before the blocks of each row
  uint32_t row_group = 1;          // rows interleaved: their number is a multiple of it
  std::optional<GgmlType> ggml;    // nullopt: only ik_llama.cpp has it
  double bits_per_weight() const;  // of the blocks alone
};

std::span<const TypeSize> all_type_sizes();
const TypeSize* find_type_size(std::string_view name);  // case-insensitive; nullptr: unknown
bool is_plain_type(std::string_view name);              // f32, f16, bf16: as models are stored
// kBadInput with the nearest known names, or that it is a mix ("Q4_K_M").
tl::unexpected<Error> unknown_type(const std::string& who, std::string_view name);

// Bytes of `tensor` in that type. kBadInput: rows that are no whole number of blocks, too few rows to interleave, overflow.
Result<uint64_t> tensor_bytes(const TypeSize& type, const TensorInfo& tensor);

}  // namespace assay
