// Where the scalar formats keep their scales: weight i of a block decodes to unit * scale[g] * level(code) - min_unit * minimum[g],
// g = i / group. One table for every encoder that chooses codes or scales anew and leaves the rest of the format alone.
// Codes themselves: CodeAccess (codec.h). Non-goals: grid formats, whose weights have no code of their own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "assay/file/gguf.h"

namespace assay {

inline constexpr uint32_t kMaxGroups = 16;

// The scales of one block, as they decode.
struct BlockScales {
  float unit = 1, min_unit = 0;
  std::array<float, kMaxGroups> scale{}, minimum{};
};

// What a unit can be: fp16, a power of two (E8M0), or nothing but 1.
enum class UnitForm : uint8_t { kHalf, kPowerOfTwo, kOne };

struct ScaleLayout {
  GgmlType type{};
  uint32_t block = 0, group = 0;  // weights
  int low_code = 0, high_code = 0;
  std::span<const float> levels{};  // of the codes from low_code up, ascending; empty: a code is its own level
  UnitForm unit = UnitForm::kHalf;
  std::span<const float> scales{};          // what a group's scale can be, ascending; one entry: 1
  float minimum_low = 0, minimum_high = 0;  // integers a group's minimum can be; both 0: the format has none; both 1: one per block
  void (*read)(const std::byte* block, BlockScales& scales) = nullptr;
  void (*write)(std::byte* block, const BlockScales& scales) = nullptr;  // leaves the codes alone

  uint32_t groups() const { return block / group; }
  bool has_minimum() const { return minimum_high > 0; }
  bool has_group_scales() const { return scales.size() > 1; }
};

// nullptr: not a scalar format.
const ScaleLayout* find_scale_layout(GgmlType type);
std::span<const ScaleLayout> all_scale_layouts();

// The nearest number that can be stored: as a unit, as a group's scale.
float nearest_unit(UnitForm form, float wanted);
float nearest_scale(std::span<const float> scales, float wanted);

}  // namespace assay
