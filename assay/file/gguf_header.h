// The part of a GGUF file before the tensor data, parsed and checked; the format's limits, shared by reader and writer.
// Internal to file/: users call Gguf (gguf.h).
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/byte_source.h"
#include "assay/file/gguf.h"
#include "assay/file/metadata.h"

namespace assay {

inline constexpr std::string_view kGgufMagic = "GGUF";
inline constexpr uint32_t kGgufVersion = 3;
inline constexpr std::string_view kAlignmentKey = "general.alignment";
inline constexpr uint64_t kDefaultAlignment = 32;
// llama.cpp sets no upper bound; far above any page size, and small enough that padding cannot swamp a file.
inline constexpr uint64_t kMaxAlignment = uint64_t{1} << 24;
inline constexpr uint64_t kMaxKeyBytes = 65535;
// The specification allows 64; llama.cpp loads at most 63, so the writer stops there.
inline constexpr uint64_t kMaxNameBytes = 64;
inline constexpr uint64_t kMaxWrittenNameBytes = 63;
inline constexpr uint32_t kMaxDims = 4;
// An entry costs about 180 bytes of memory for as few as 14 in the file; real files have below 100,000 of either.
inline constexpr uint64_t kMaxKeys = uint64_t{1} << 18;
inline constexpr uint64_t kMaxTensors = uint64_t{1} << 18;

struct GgufHeader {
  uint32_t version = kGgufVersion;
  uint64_t alignment = kDefaultAlignment;
  uint64_t data_offset = 0;  // byte of the first tensor in the file
  Metadata metadata;
  std::vector<TensorInfo> tensors;
  std::unordered_map<std::string, size_t> index;  // by tensor name
  std::vector<std::string> warnings;
};

Result<GgufHeader> read_gguf_header(const ByteSource& source);

// A power of two, a multiple of 8, at most kMaxAlignment.
bool is_valid_alignment(uint64_t alignment);

}  // namespace assay
