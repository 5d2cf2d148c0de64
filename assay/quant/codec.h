// ggml block formats: decode and encode rows, and reach single weight codes. One codec file per family, one registry.
// Layouts: methods.md 4.2.3. Portable and SIMD paths give equal bytes. Plain spans only; no torch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "assay/base/result.h"
#include "assay/file/gguf.h"

namespace assay {

// How a single weight's code can be reached (used to move a code by one level; methods.md 2.2).
struct CodeAccess {
  int min_code = 0;
  int max_code = 0;
  int (*get)(const std::byte* block, uint32_t index) = nullptr;  // index: weight within the block
  void (*set)(std::byte* block, uint32_t index, int code) = nullptr;
};

// Encodes whole rows of one block row: `importance` has row_length entries (mean squared activation per column) or is nullptr.
using EncodeRow = void (*)(const float* row, const float* importance, uint64_t row_length, std::byte* out);
// Encodes and looks for NaN and infinity in one pass; false where there is one.
using ConvertRow = bool (*)(const float* row, uint64_t row_length, std::byte* out);
using DecodeRow = void (*)(const std::byte* row, uint64_t row_length, float* out);

struct Codec {
  const GgmlTypeInfo* info = nullptr;
  DecodeRow decode = nullptr;
  EncodeRow encode = nullptr;         // nullptr: decode only
  const CodeAccess* codes = nullptr;  // nullptr: no per-weight code
  ConvertRow convert = nullptr;       // types without blocks: what `encode` does, and the look for NaN in the same pass
};

const Codec* find_codec(GgmlType type);  // nullptr: type unknown or never stored
std::span<const Codec> all_codecs();
// True if a row of this length can be stored in the type.
bool row_fits(GgmlType type, uint64_t row_length);

// Decodes `rows` rows; sizes must match exactly. Errors: kInternal on size mismatch, kUnsupported for types without decoder.
Status decode(GgmlType type, std::span<const std::byte> bytes, uint64_t row_length, std::span<float> out, int threads = 1);

struct EncodeOptions {
  int threads = 0;                      // 0: all
  std::span<const float> importance{};  // row_length * matrices entries, matrices = rows sharing an importance row; or empty
  uint64_t rows_per_matrix = 0;         // 0: all rows share importance[0 .. row_length)
};
// Encodes rows of float32. Non-finite input is refused with the position of the first (kBadInput).
Status encode(GgmlType type, std::span<const float> values, uint64_t row_length, std::span<std::byte> out,
              const EncodeOptions& options = {});

// Weighted squared error of an encoding, sum over rows and columns of importance_j (w - w~)^2, in double.
double weighted_error(std::span<const float> values, std::span<const float> decoded, uint64_t row_length,
                      std::span<const float> importance);

}  // namespace assay
