// GGUF v2 and v3, read (single and split) and written. Layout: methods.md 4.2.1; bad files: every case G1-G45 has a test.
// Non-goals: interpreting tensors (quant/) or architectures (model/).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "assay/base/progress.h"
#include "assay/base/result.h"
#include "assay/file/byte_source.h"
#include "assay/file/metadata.h"

namespace assay {

// The numbers are the file format's (methods.md 4.2.2). Everything else about a type lives in quant/type_table.h.
enum class GgmlType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ8_1 = 9,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kQ8_K = 15,
  kIQ2_XXS = 16,
  kIQ2_XS = 17,
  kIQ3_XXS = 18,
  kIQ1_S = 19,
  kIQ4_NL = 20,
  kIQ3_S = 21,
  kIQ2_S = 22,
  kIQ4_XS = 23,
  kI8 = 24,
  kI16 = 25,
  kI32 = 26,
  kI64 = 27,
  kF64 = 28,
  kIQ1_M = 29,
  kBF16 = 30,
  kTQ1_0 = 34,
  kTQ2_0 = 35,
  kMXFP4 = 39,
  kNVFP4 = 40,
  kQ1_0 = 41,
  kQ2_0 = 42,
};

// Block geometry: the part of the type table a file reader needs.
struct GgmlTypeInfo {
  GgmlType type;
  const char* name;      // "Q4_K", as GGUF users write it
  uint32_t block_size;   // weights per block (1 for plain types)
  uint32_t block_bytes;  // bytes per block
  bool quantized;
};
const GgmlTypeInfo* find_type(GgmlType type);          // nullptr: retired or unknown
const GgmlTypeInfo* find_type(std::string_view name);  // case-insensitive; nullptr if unknown
std::span<const GgmlTypeInfo> all_types();             // in the order of their ids

// A tensor as a file declares it. Shape: dims[0] is the innermost (row length, input features); unused dims are 1.
struct TensorInfo {
  std::string name;
  GgmlType type = GgmlType::kF32;
  uint32_t n_dims = 1;
  std::array<uint64_t, 4> dims = {1, 1, 1, 1};
  uint64_t offset = 0;  // in the data section of its file
  uint64_t bytes = 0;
  uint32_t part = 0;  // which file of a split model

  uint64_t row_length() const { return dims[0]; }
  uint64_t rows() const { return dims[1] * dims[2] * dims[3]; }
  uint64_t elements() const { return rows() * dims[0]; }
};

// Bytes of a tensor of these dims in this type. Error: row not a multiple of the block, overflow.
Result<uint64_t> tensor_bytes(GgmlType type, std::span<const uint64_t> dims, std::string_view name);

class Gguf {
 public:
  // Opens a file; for "x-00001-of-0000N.gguf" all N parts beside it (metadata of the first, tensors of all).
  static Result<Gguf> open(const std::string& path);
  // One part from any source.
  static Result<Gguf> parse(std::shared_ptr<ByteSource> source);

  uint32_t version() const { return version_; }
  uint64_t alignment() const { return alignment_; }
  const Metadata& metadata() const { return metadata_; }
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  const TensorInfo* find(std::string_view name) const;
  size_t parts() const { return parts_.size(); }
  const ByteSource& source(uint32_t part = 0) const { return *parts_[part].source; }
  uint64_t data_offset(uint32_t part = 0) const { return parts_[part].data_offset; }
  uint64_t file_bytes() const;             // of all parts
  std::vector<std::string> paths() const;  // of all parts
  const std::vector<std::string>& warnings() const { return warnings_; }

  // The tensor's stored bytes, whole or a slice of them.
  Status read(const TensorInfo& tensor, uint64_t begin, std::span<std::byte> out) const;
  Result<std::vector<std::byte>> read(const TensorInfo& tensor) const;
  // In place where the source is mapped; empty otherwise.
  std::span<const std::byte> view(const TensorInfo& tensor) const;

 private:
  struct Part {
    std::shared_ptr<ByteSource> source;
    uint64_t data_offset = 0;
  };
  uint32_t version_ = 3;
  uint64_t alignment_ = 32;
  Metadata metadata_;
  std::vector<TensorInfo> tensors_;
  std::unordered_map<std::string, size_t> index_;
  std::vector<Part> parts_;
  std::vector<std::string> warnings_;
};

// Layout of a file before a byte is written: exact header and file size, offsets of every tensor.
struct GgufLayout {
  uint64_t header_bytes = 0;        // magic .. end of tensor infos, padded to the alignment
  uint64_t file_bytes = 0;          // last tensor's padding included
  std::vector<TensorInfo> tensors;  // with bytes and offset filled in
};
// `tensors`: name, type, n_dims, dims are read. Alignment comes from general.alignment (default 32).
Result<GgufLayout> gguf_layout(const Metadata& metadata, std::span<const TensorInfo> tensors);

struct GgufWriteOptions {
  bool force = false;                    // replace an existing output
  std::vector<std::string> inputs = {};  // paths that must not be overwritten
};
// Called once per tensor in order; fills `out` (exactly the tensor's bytes).
using TensorFiller = std::function<Status(const TensorInfo& tensor, std::span<std::byte> out)>;
// Writes `path` whole or not at all: space checked, temporary file beside it, re-opened and compared with the layout
// (header, types, places, padding), fsync, rename. Errors: kUsage (exists without force; equals an input), kNoSpace, kIo, kInterrupted, or
// the filler's.
Result<GgufLayout> write_gguf(const std::string& path, const Metadata& metadata, std::span<const TensorInfo> tensors,
                              const TensorFiller& fill, const GgufWriteOptions& options, Progress& progress = silent_progress());

}  // namespace assay
