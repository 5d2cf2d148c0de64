#include <array>

#include "assay/base/checked.h"
#include "assay/base/text.h"
#include "assay/file/gguf.h"

namespace assay {
namespace {

using T = GgmlType;

// methods.md 4.2.2. Q8_1 and Q8_K exist at run time only; they are listed so that a file that holds them is named.
constexpr std::array kTypes = {
    GgmlTypeInfo{T::kF32, "F32", 1, 4, false},
    GgmlTypeInfo{T::kF16, "F16", 1, 2, false},
    GgmlTypeInfo{T::kQ4_0, "Q4_0", 32, 18, true},
    GgmlTypeInfo{T::kQ4_1, "Q4_1", 32, 20, true},
    GgmlTypeInfo{T::kQ5_0, "Q5_0", 32, 22, true},
    GgmlTypeInfo{T::kQ5_1, "Q5_1", 32, 24, true},
    GgmlTypeInfo{T::kQ8_0, "Q8_0", 32, 34, true},
    GgmlTypeInfo{T::kQ8_1, "Q8_1", 32, 36, true},
    GgmlTypeInfo{T::kQ2_K, "Q2_K", 256, 84, true},
    GgmlTypeInfo{T::kQ3_K, "Q3_K", 256, 110, true},
    GgmlTypeInfo{T::kQ4_K, "Q4_K", 256, 144, true},
    GgmlTypeInfo{T::kQ5_K, "Q5_K", 256, 176, true},
    GgmlTypeInfo{T::kQ6_K, "Q6_K", 256, 210, true},
    GgmlTypeInfo{T::kQ8_K, "Q8_K", 256, 292, true},
    GgmlTypeInfo{T::kIQ2_XXS, "IQ2_XXS", 256, 66, true},
    GgmlTypeInfo{T::kIQ2_XS, "IQ2_XS", 256, 74, true},
    GgmlTypeInfo{T::kIQ3_XXS, "IQ3_XXS", 256, 98, true},
    GgmlTypeInfo{T::kIQ1_S, "IQ1_S", 256, 50, true},
    GgmlTypeInfo{T::kIQ4_NL, "IQ4_NL", 32, 18, true},
    GgmlTypeInfo{T::kIQ3_S, "IQ3_S", 256, 110, true},
    GgmlTypeInfo{T::kIQ2_S, "IQ2_S", 256, 82, true},
    GgmlTypeInfo{T::kIQ4_XS, "IQ4_XS", 256, 136, true},
    GgmlTypeInfo{T::kI8, "I8", 1, 1, false},
    GgmlTypeInfo{T::kI16, "I16", 1, 2, false},
    GgmlTypeInfo{T::kI32, "I32", 1, 4, false},
    GgmlTypeInfo{T::kI64, "I64", 1, 8, false},
    GgmlTypeInfo{T::kF64, "F64", 1, 8, false},
    GgmlTypeInfo{T::kIQ1_M, "IQ1_M", 256, 56, true},
    GgmlTypeInfo{T::kBF16, "BF16", 1, 2, false},
    GgmlTypeInfo{T::kTQ1_0, "TQ1_0", 256, 54, true},
    GgmlTypeInfo{T::kTQ2_0, "TQ2_0", 256, 66, true},
    GgmlTypeInfo{T::kMXFP4, "MXFP4", 32, 17, true},
    GgmlTypeInfo{T::kNVFP4, "NVFP4", 64, 36, true},
    GgmlTypeInfo{T::kQ1_0, "Q1_0", 128, 18, true},
    GgmlTypeInfo{T::kQ2_0, "Q2_0", 64, 18, true},
};

}  // namespace

std::span<const GgmlTypeInfo> all_types() { return kTypes; }

const GgmlTypeInfo* find_type(GgmlType type) {
  for (const GgmlTypeInfo& info : kTypes)
    if (info.type == type) return &info;
  return nullptr;
}

const GgmlTypeInfo* find_type(std::string_view name) {
  const std::string wanted = lower_ascii(name);
  for (const GgmlTypeInfo& info : kTypes)
    if (lower_ascii(info.name) == wanted) return &info;
  return nullptr;
}

Result<uint64_t> tensor_bytes(GgmlType type, std::span<const uint64_t> dims, std::string_view name) {
  const std::string who = "tensor '" + printable(name) + "'";
  const GgmlTypeInfo* info = find_type(type);
  if (info == nullptr) {
    return fail(ErrorCode::kUnsupported, {who, "has ggml type " + std::to_string(static_cast<uint32_t>(type)), "a known type id is needed",
                                          "retired type, or a file newer than this program"});
  }
  CheckedSize elements = 1;
  for (const uint64_t dim : dims) elements = elements * dim;
  if (!elements.fits(INT64_MAX)) return fail(ErrorCode::kBadInput, {who, "has dimensions whose product overflows", "", "corrupt header"});
  if (dims.empty() || dims[0] % info->block_size != 0) {
    return fail(ErrorCode::kBadInput, {who, "has rows of " + group_digits(dims.empty() ? 0 : dims[0]) + " weights",
                                       std::string(info->name) + " needs a multiple of " + std::to_string(info->block_size), ""});
  }
  const auto bytes = (elements.divide_exact(info->block_size) * info->block_bytes).value();
  if (!bytes || *bytes > INT64_MAX) return fail(ErrorCode::kBadInput, {who, "has a size in bytes that overflows", "", "corrupt header"});
  return *bytes;
}

}  // namespace assay
