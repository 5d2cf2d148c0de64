#include "assay/quant/scale_layout.h"

#include <algorithm>
#include <cmath>

#include "assay/quant/fp4_scales.h"
#include "assay/quant/half.h"
#include "assay/quant/iq4_encode.h"
#include "assay/quant/kquant_layout.h"

namespace assay {
namespace {

// low, low + 1, ..., as floats.
template <int kLow, int kHigh>
constexpr std::array<float, kHigh - kLow + 1> integers() {
  std::array<float, kHigh - kLow + 1> values{};
  for (int i = kLow; i <= kHigh; ++i) values[static_cast<size_t>(i - kLow)] = static_cast<float>(i);
  return values;
}

constexpr std::array<float, 1> kSingle = {1};
constexpr auto kTo15 = integers<0, 15>();
constexpr auto kTo63 = integers<0, 63>();
constexpr auto kSixBitSigned = integers<-32, 31>();
constexpr auto kBytes = integers<-128, 127>();

// E2M1 in the order of its values; its scales carry the factor 1/2.
constexpr std::array<float, 15> kE2M1Levels = {-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12};

std::span<const float> ue4m3_values() {
  static const std::array<float, 127> values = [] {
    std::array<float, 127> list{};
    for (unsigned code = 0; code < list.size(); ++code) list[code] = ue4m3_half(code);
    return list;
  }();
  return values;
}

// ---- one half in front: Q4_0, Q5_0, Q8_0, IQ4_NL; at kAt: TQ1_0, TQ2_0

template <size_t kAt>
void read_half(const std::byte* block, BlockScales& scales) {
  scales.unit = load_half(block + kAt);
  scales.scale[0] = 1;
}
template <size_t kAt>
void write_half(std::byte* block, const BlockScales& scales) {
  store_u16(block + kAt, float_to_half(scales.unit));
}

// ---- scale and offset: Q4_1, Q5_1

void read_two_halves(const std::byte* block, BlockScales& scales) {
  scales.unit = load_half(block);
  scales.min_unit = -load_half(block + 2);
  scales.scale[0] = scales.minimum[0] = 1;
}
void write_two_halves(std::byte* block, const BlockScales& scales) {
  store_u16(block, float_to_half(scales.unit));
  store_u16(block + 2, float_to_half(-scales.min_unit));
}

// ---- K formats

void read_q2_k(const std::byte* block, BlockScales& scales) {
  scales.unit = load_half(block + 80);
  scales.min_unit = load_half(block + 82);
  for (uint32_t g = 0; g < 16; ++g) {
    scales.scale[g] = static_cast<float>(load_u8(block + g) & 15u);
    scales.minimum[g] = static_cast<float>(load_u8(block + g) >> 4);
  }
}
void write_q2_k(std::byte* block, const BlockScales& scales) {
  for (uint32_t g = 0; g < 16; ++g)
    block[g] = static_cast<std::byte>(static_cast<unsigned>(scales.scale[g]) | static_cast<unsigned>(scales.minimum[g]) << 4);
  store_u16(block + 80, float_to_half(scales.unit));
  store_u16(block + 82, float_to_half(scales.min_unit));
}

void read_q3_k(const std::byte* block, BlockScales& scales) {
  scales.unit = load_half(block + 108);
  for (uint32_t g = 0; g < 16; ++g) scales.scale[g] = static_cast<float>(kquant::get_q3_scale(block + 96, g));
}
void write_q3_k(std::byte* block, const BlockScales& scales) {
  int8_t integers[16];
  for (uint32_t g = 0; g < 16; ++g) integers[g] = static_cast<int8_t>(scales.scale[g]);
  kquant::put_q3_scales(block + 96, integers);
  store_u16(block + 108, float_to_half(scales.unit));
}

void read_q45_k(const std::byte* block, BlockScales& scales) {
  scales.unit = load_half(block);
  scales.min_unit = load_half(block + 2);
  for (uint32_t g = 0; g < 8; ++g) {
    const auto [scale, minimum] = kquant::get_scale_min(block + 4, g);
    scales.scale[g] = static_cast<float>(scale);
    scales.minimum[g] = static_cast<float>(minimum);
  }
}
void write_q45_k(std::byte* block, const BlockScales& scales) {
  uint8_t scale[8], minimum[8];
  for (uint32_t g = 0; g < 8; ++g) {
    scale[g] = static_cast<uint8_t>(scales.scale[g]);
    minimum[g] = static_cast<uint8_t>(scales.minimum[g]);
  }
  kquant::put_scale_mins(block + 4, scale, minimum);
  store_u16(block, float_to_half(scales.unit));
  store_u16(block + 2, float_to_half(scales.min_unit));
}

// Where Q6_K keeps the scale of group g = 0 .. 15: in order.
void read_q6_k(const std::byte* block, BlockScales& scales) {
  scales.unit = load_half(block + 208);
  for (uint32_t g = 0; g < 16; ++g) scales.scale[g] = static_cast<float>(static_cast<int8_t>(block[192 + g]));
}
void write_q6_k(std::byte* block, const BlockScales& scales) {
  for (uint32_t g = 0; g < 16; ++g) block[192 + g] = static_cast<std::byte>(static_cast<int8_t>(scales.scale[g]));
  store_u16(block + 208, float_to_half(scales.unit));
}

// ---- IQ4_XS: six bits per 32 weights, four of them in nibbles

void read_iq4_xs(const std::byte* block, BlockScales& scales) {
  scales.unit = load_half(block);
  const unsigned high = load_u16(block + 2);
  for (uint32_t g = 0; g < 8; ++g) {
    const unsigned raw = ((load_u8(block + 4 + g / 2) >> (4 * (g % 2))) & 15u) | ((high >> (2 * g)) & 3u) << 4;
    scales.scale[g] = static_cast<float>(static_cast<int>(raw) - 32);
  }
}
void write_iq4_xs(std::byte* block, const BlockScales& scales) {
  unsigned high = 0, low[4] = {};
  for (uint32_t g = 0; g < 8; ++g) {
    const auto raw = static_cast<unsigned>(static_cast<int>(scales.scale[g]) + 32);
    low[g / 2] |= (raw & 15u) << (4 * (g % 2));
    high |= (raw >> 4) << (2 * g);
  }
  store_u16(block, float_to_half(scales.unit));
  store_u16(block + 2, static_cast<uint16_t>(high));
  for (uint32_t i = 0; i < 4; ++i) block[4 + i] = static_cast<std::byte>(low[i]);
}

// ---- FP4

void read_mxfp4(const std::byte* block, BlockScales& scales) {
  scales.unit = e8m0_half(load_u8(block));
  scales.scale[0] = 1;
}
void write_mxfp4(std::byte* block, const BlockScales& scales) { block[0] = static_cast<std::byte>(e8m0_half_code(scales.unit)); }

void read_nvfp4(const std::byte* block, BlockScales& scales) {
  for (uint32_t g = 0; g < 4; ++g) scales.scale[g] = ue4m3_half(load_u8(block + g));
}
void write_nvfp4(std::byte* block, const BlockScales& scales) {
  const auto values = ue4m3_values();
  for (uint32_t g = 0; g < 4; ++g)
    block[g] = static_cast<std::byte>(std::lower_bound(values.begin(), values.end(), scales.scale[g]) - values.begin());
}

}  // namespace

std::span<const ScaleLayout> all_scale_layouts() {
  using T = GgmlType;
  using enum UnitForm;
  static const std::array layouts = {
      ScaleLayout{T::kQ4_0, 32, 32, -8, 7, {}, kHalf, kSingle, 0, 0, read_half<0>, write_half<0>},
      ScaleLayout{T::kQ4_1, 32, 32, 0, 15, {}, kHalf, kSingle, 1, 1, read_two_halves, write_two_halves},
      ScaleLayout{T::kQ5_0, 32, 32, -16, 15, {}, kHalf, kSingle, 0, 0, read_half<0>, write_half<0>},
      ScaleLayout{T::kQ5_1, 32, 32, 0, 31, {}, kHalf, kSingle, 1, 1, read_two_halves, write_two_halves},
      ScaleLayout{T::kQ8_0, 32, 32, -128, 127, {}, kHalf, kSingle, 0, 0, read_half<0>, write_half<0>},
      ScaleLayout{T::kQ2_K, 256, 16, 0, 3, {}, kHalf, kTo15, 0, 15, read_q2_k, write_q2_k},
      ScaleLayout{T::kQ3_K, 256, 16, -4, 3, {}, kHalf, kSixBitSigned, 0, 0, read_q3_k, write_q3_k},
      ScaleLayout{T::kQ4_K, 256, 32, 0, 15, {}, kHalf, kTo63, 0, 63, read_q45_k, write_q45_k},
      ScaleLayout{T::kQ5_K, 256, 32, 0, 31, {}, kHalf, kTo63, 0, 63, read_q45_k, write_q45_k},
      ScaleLayout{T::kQ6_K, 256, 16, -32, 31, {}, kHalf, kBytes, 0, 0, read_q6_k, write_q6_k},
      ScaleLayout{T::kIQ4_NL, 32, 32, 0, 15, kIq4Values, kHalf, kSingle, 0, 0, read_half<0>, write_half<0>},
      ScaleLayout{T::kIQ4_XS, 256, 32, 0, 15, kIq4Values, kHalf, kSixBitSigned, 0, 0, read_iq4_xs, write_iq4_xs},
      ScaleLayout{T::kMXFP4, 32, 32, -7, 7, kE2M1Levels, kPowerOfTwo, kSingle, 0, 0, read_mxfp4, write_mxfp4},
      ScaleLayout{T::kNVFP4, 64, 16, -7, 7, kE2M1Levels, kOne, ue4m3_values(), 0, 0, read_nvfp4, write_nvfp4},
      ScaleLayout{T::kTQ1_0, 256, 256, -1, 1, {}, kHalf, kSingle, 0, 0, read_half<52>, write_half<52>},
      ScaleLayout{T::kTQ2_0, 256, 256, -1, 1, {}, kHalf, kSingle, 0, 0, read_half<64>, write_half<64>},
  };
  return layouts;
}

const ScaleLayout* find_scale_layout(GgmlType type) {
  const auto all = all_scale_layouts();
  const auto found = std::find_if(all.begin(), all.end(), [type](const ScaleLayout& layout) { return layout.type == type; });
  return found == all.end() ? nullptr : &*found;
}

float nearest_unit(UnitForm form, float wanted) {
  constexpr float kLargestHalf = 65504;
  switch (form) {
    case UnitForm::kHalf:
      return half_to_float(float_to_half(std::clamp(wanted, -kLargestHalf, kLargestHalf)));
    case UnitForm::kPowerOfTwo: {
      if (!(wanted > 0)) return e8m0_half(0);
      const unsigned below = e8m0_half_code(std::ldexp(1.0f, std::ilogb(wanted)));
      const float low = e8m0_half(below), high = e8m0_half(std::min(below + 1, 254u));
      return wanted - low <= high - wanted ? low : high;
    }
    case UnitForm::kOne:
      break;
  }
  return 1;
}

float nearest_scale(std::span<const float> scales, float wanted) {
  const auto above = std::lower_bound(scales.begin(), scales.end(), wanted);
  if (above == scales.begin()) return scales.front();
  if (above == scales.end()) return scales.back();
  return wanted - *(above - 1) <= *above - wanted ? *(above - 1) : *above;
}

}  // namespace assay
