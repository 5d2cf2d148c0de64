// Types without blocks.
#include <array>
#include <cstring>

#include "assay/base/lanes.h"
#include "assay/base/simd.h"
#include "assay/quant/families.h"
#include "assay/quant/folds.h"
#include "assay/quant/half.h"

namespace assay {
namespace {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"

using lanes::Float16;
using lanes::Int16;
using Short16 = uint16_t __attribute__((vector_size(32)));

constexpr int kMagnitude = 0x7FFFFFFF, kLargest = 0x7F7FFFFF;

ASSAY_INLINE Int16 either(Int16 a, Int16 b) { return a > b ? a : b; }
ASSAY_INLINE Int16 at_most(Int16 a, int b) { return a < b ? a : Int16{} + b; }

// half.h's float_to_half of sixteen; beyond the largest half: the largest (a finite weight stays finite).
ASSAY_INLINE Int16 halves(Int16 bits) {
  const Int16 size = at_most(bits & kMagnitude, 0x477FE000);
  const Int16 rounded = (size + 0xFFF + ((size >> 13) & 1) - 0x38000000) >> 13;
  const Int16 subnormal = (Int16)((Float16)size + 0.5f) - 0x3F000000;
  return (size < 0x38800000 ? subnormal : rounded) | ((bits >> 16) & 0x8000);
}

// Likewise float_to_bfloat16.
ASSAY_INLINE Int16 bfloat16s(Int16 bits) {
  const Int16 size = at_most(bits & kMagnitude, 0x7F7F0000);
  return ((size + 0x7FFF + ((size >> 16) & 1)) >> 16) | ((bits >> 16) & 0x8000);
}

// Encodes and looks for NaN and infinity in one pass. Words: what sixteen weights become.
template <class Words, class Convert>
ASSAY_INLINE bool convert_row(const float* row, uint64_t n, std::byte* out, const Convert& convert) {
  constexpr uint64_t kBytes = sizeof(Words);
  Int16 largest{};  // bits of the magnitudes are in the order of the magnitudes
  uint64_t i = 0;
  for (; i + 16 <= n; i += 16, out += kBytes) {
    const Int16 bits = (Int16)lanes::load(row + i);
    largest = either(largest, bits & kMagnitude);
    const Words words = __builtin_convertvector(convert(bits), Words);
    std::memcpy(out, &words, kBytes);
  }
  if (i < n) {
    float tail[16] = {};
    std::memcpy(tail, row + i, (n - i) * sizeof(float));
    const Int16 bits = (Int16)lanes::load(tail);
    largest = either(largest, bits & kMagnitude);
    const Words words = __builtin_convertvector(convert(bits), Words);
    std::memcpy(out, &words, (n - i) * kBytes / 16);
  }
  return !folds::any(largest > kLargest);
}

ASSAY_INLINE bool f32_row(const float* row, uint64_t n, std::byte* out) {
  return convert_row<Int16>(row, n, out, [](Int16 bits) __attribute__((always_inline)) { return bits; });
}
ASSAY_INLINE bool f16_row(const float* row, uint64_t n, std::byte* out) { return convert_row<Short16>(row, n, out, halves); }
ASSAY_INLINE bool bf16_row(const float* row, uint64_t n, std::byte* out) { return convert_row<Short16>(row, n, out, bfloat16s); }

#pragma GCC diagnostic pop

ASSAY_KERNEL(bool, convert_f32, f32_row, (const float* row, uint64_t n, std::byte* out), (row, n, out))
ASSAY_KERNEL(bool, convert_f16, f16_row, (const float* row, uint64_t n, std::byte* out), (row, n, out))
ASSAY_KERNEL(bool, convert_bf16, bf16_row, (const float* row, uint64_t n, std::byte* out), (row, n, out))

void decode_f32(const std::byte* row, uint64_t n, float* out) { std::memcpy(out, row, n * sizeof(float)); }
void decode_f16(const std::byte* row, uint64_t n, float* out) {
  for (uint64_t i = 0; i < n; ++i) out[i] = half_to_float(load_u16(row + 2 * i));
}
void decode_bf16(const std::byte* row, uint64_t n, float* out) {
  for (uint64_t i = 0; i < n; ++i) out[i] = bfloat16_to_float(load_u16(row + 2 * i));
}

// Without the answer, for callers that have looked already.
template <bool (*kConvert)(const float*, uint64_t, std::byte*)>
void encode_row(const float* row, const float*, uint64_t n, std::byte* out) {
  (void)kConvert(row, n, out);
}

void decode_f64(const std::byte* row, uint64_t n, float* out) {
  for (uint64_t i = 0; i < n; ++i) {
    double value;
    std::memcpy(&value, row + i * sizeof value, sizeof value);
    out[i] = static_cast<float>(value);
  }
}

}  // namespace

std::span<const Codec> plain_codecs() {
  static const std::array codecs = {
      Codec{find_type(GgmlType::kF32), decode_f32, encode_row<convert_f32>, nullptr, convert_f32},
      Codec{find_type(GgmlType::kF16), decode_f16, encode_row<convert_f16>, nullptr, convert_f16},
      Codec{find_type(GgmlType::kBF16), decode_bf16, encode_row<convert_bf16>, nullptr, convert_bf16},
      Codec{find_type(GgmlType::kF64), decode_f64, nullptr, nullptr},
  };
  return codecs;
}

}  // namespace assay
