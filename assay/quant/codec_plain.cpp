// Types without blocks.
#include <array>
#include <cstring>

#include "assay/quant/families.h"
#include "assay/quant/half.h"

namespace assay {
namespace {

void decode_f32(const std::byte* row, uint64_t n, float* out) { std::memcpy(out, row, n * sizeof(float)); }
void encode_f32(const float* row, const float*, uint64_t n, std::byte* out) { std::memcpy(out, row, n * sizeof(float)); }

void decode_f16(const std::byte* row, uint64_t n, float* out) {
  for (uint64_t i = 0; i < n; ++i) out[i] = half_to_float(load_u16(row + 2 * i));
}
// Beyond the largest half: the largest half (a finite weight stays finite).
void encode_f16(const float* row, const float*, uint64_t n, std::byte* out) {
  constexpr float kLargest = 65504.0f;
  for (uint64_t i = 0; i < n; ++i) store_u16(out + 2 * i, float_to_half(row[i] > kLargest ? kLargest : row[i] < -kLargest ? -kLargest : row[i]));
}

void decode_bf16(const std::byte* row, uint64_t n, float* out) {
  for (uint64_t i = 0; i < n; ++i) out[i] = bfloat16_to_float(load_u16(row + 2 * i));
}
// Beyond the largest bfloat16: the largest, as for F16.
void encode_bf16(const float* row, const float*, uint64_t n, std::byte* out) {
  constexpr float kLargest = 0x1.FEp127f;
  for (uint64_t i = 0; i < n; ++i) store_u16(out + 2 * i, float_to_bfloat16(row[i] > kLargest ? kLargest : row[i] < -kLargest ? -kLargest : row[i]));
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
      Codec{find_type(GgmlType::kF32), decode_f32, encode_f32, nullptr, false},
      Codec{find_type(GgmlType::kF16), decode_f16, encode_f16, nullptr, false},
      Codec{find_type(GgmlType::kBF16), decode_bf16, encode_bf16, nullptr, false},
      Codec{find_type(GgmlType::kF64), decode_f64, nullptr, nullptr, false},
  };
  return codecs;
}

}  // namespace assay
