// Scale layouts against the codecs: what is read explains every decoded value, and what is written is read again.
#include "assay/quant/scale_layout.h"

#include <gtest/gtest.h>

#include <vector>

#include "assay/base/random.h"
#include "assay/quant/codec.h"

namespace assay {
namespace {

constexpr uint64_t kRow = 512;

std::vector<std::byte> random_row(const ScaleLayout& layout, std::vector<float>& decoded) {
  CounterRandom random(3, static_cast<uint64_t>(layout.type));
  std::vector<float> values(kRow);
  for (float& value : values) value = static_cast<float>(random.next_normal());
  const Codec& codec = *find_codec(layout.type);
  std::vector<std::byte> bytes(kRow / codec.info->block_size * codec.info->block_bytes);
  EXPECT_TRUE(encode(layout.type, values, kRow, bytes));
  decoded.resize(kRow);
  EXPECT_TRUE(decode(layout.type, bytes, kRow, decoded));
  return bytes;
}

float level_of(const ScaleLayout& layout, int code) {
  return layout.levels.empty() ? static_cast<float>(code) : layout.levels[static_cast<size_t>(code - layout.low_code)];
}

TEST(ScaleLayout, ExplainsEveryDecodedValue) {
  for (const ScaleLayout& layout : all_scale_layouts()) {
    const Codec& codec = *find_codec(layout.type);
    SCOPED_TRACE(codec.info->name);
    EXPECT_EQ(layout.block, codec.info->block_size);
    EXPECT_EQ(layout.low_code, codec.codes->min_code);
    EXPECT_EQ(layout.high_code, codec.codes->max_code);
    std::vector<float> decoded;
    const std::vector<std::byte> bytes = random_row(layout, decoded);
    for (uint64_t first = 0; first < kRow; first += layout.block) {
      const std::byte* block = bytes.data() + first / layout.block * codec.info->block_bytes;
      BlockScales scales;
      layout.read(block, scales);
      for (uint32_t i = 0; i < layout.block; ++i) {
        const size_t g = i / layout.group;
        const float scale = scales.unit * scales.scale[g], minimum = scales.min_unit * scales.minimum[g];
        ASSERT_EQ(scale * level_of(layout, codec.codes->get(block, i)) - minimum, decoded[first + i]) << i;
      }
    }
  }
}

TEST(ScaleLayout, WritesWhatItReadsAndLeavesTheCodes) {
  for (const ScaleLayout& layout : all_scale_layouts()) {
    const Codec& codec = *find_codec(layout.type);
    SCOPED_TRACE(codec.info->name);
    std::vector<float> decoded;
    const std::vector<std::byte> bytes = random_row(layout, decoded);
    std::vector<std::byte> again = bytes;
    BlockScales scales;
    layout.read(bytes.data(), scales);
    BlockScales none;  // all zero: a block that decodes to nothing
    none.unit = layout.unit == UnitForm::kPowerOfTwo ? scales.unit : 0;
    layout.write(again.data(), none);
    layout.write(again.data(), scales);
    EXPECT_EQ(again, bytes);
    for (uint32_t i = 0; i < layout.block; ++i) EXPECT_EQ(codec.codes->get(again.data(), i), codec.codes->get(bytes.data(), i));
  }
}

TEST(ScaleLayout, NearestUnitsAndScales) {
  EXPECT_EQ(nearest_unit(UnitForm::kHalf, 1.0f + 0x1p-12f), 1.0f);
  EXPECT_EQ(nearest_unit(UnitForm::kHalf, 1e9f), 65504.0f);
  EXPECT_EQ(nearest_unit(UnitForm::kPowerOfTwo, 5.9f), 4.0f);
  EXPECT_EQ(nearest_unit(UnitForm::kPowerOfTwo, 6.1f), 8.0f);
  EXPECT_EQ(nearest_unit(UnitForm::kOne, 3.0f), 1.0f);
  const std::vector<float> scales = {0, 1, 2, 4};
  EXPECT_EQ(nearest_scale(scales, -3), 0);
  EXPECT_EQ(nearest_scale(scales, 2.9f), 2);
  EXPECT_EQ(nearest_scale(scales, 3.1f), 4);
  EXPECT_EQ(nearest_scale(scales, 9), 4);
}

}  // namespace
}  // namespace assay
