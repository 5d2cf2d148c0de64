#include "assay/quant/codec.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>

#include "assay/base/random.h"
#include "assay/quant/half.h"

namespace assay {
namespace {

std::vector<float> gaussian(size_t n, double scale = 0.02) {
  CounterRandom random(3, 1);
  std::vector<float> values(n);
  for (float& v : values) v = static_cast<float>(scale * random.next_normal());
  return values;
}

uint64_t size_of(const Codec& codec, uint64_t weights) { return weights / codec.info->block_size * codec.info->block_bytes; }

std::vector<float> round_trip(const Codec& codec, std::span<const float> values, uint64_t row, const EncodeOptions& options = {}) {
  std::vector<std::byte> bytes(size_of(codec, values.size()));
  const Status status = encode(codec.info->type, values, row, bytes, options);
  EXPECT_TRUE(status) << codec.info->name << ": " << status.error().message;
  std::vector<float> decoded(values.size());
  EXPECT_TRUE(decode(codec.info->type, bytes, row, decoded));
  return decoded;
}

TEST(Half, KnownValues) {
  EXPECT_EQ(half_to_float(0x3C00), 1.0f);
  EXPECT_EQ(half_to_float(0x0001), 0x1.0p-24f);
  EXPECT_EQ(half_to_float(0x7BFF), 65504.0f);
  EXPECT_TRUE(std::isinf(half_to_float(0x7C00)));
  EXPECT_EQ(float_to_half(1.0f + 0x1.0p-11f), 0x3C00);  // tie to even
  EXPECT_EQ(float_to_half(1.0f + 0x1.8p-10f), 0x3C02);  // tie to even, upward
  EXPECT_EQ(float_to_half(65520.0f), 0x7C00);
  for (uint32_t h = 0; h < 0x10000; ++h) {
    const float value = half_to_float(static_cast<uint16_t>(h));
    if (!std::isnan(value)) {
      EXPECT_EQ(float_to_half(value), h);
    }
  }
}

TEST(BFloat16, RoundsTiesToEvenAndKeepsNaN) {
  EXPECT_EQ(float_to_bfloat16(1.0f + 0x1.0p-8f), 0x3F80);
  EXPECT_EQ(float_to_bfloat16(1.0f + 0x1.8p-7f), 0x3F82);
  EXPECT_TRUE(std::isnan(bfloat16_to_float(float_to_bfloat16(std::numeric_limits<float>::quiet_NaN()))));
}

// Relative error of N(0, 0.02^2): at most the bits suggest, and importance helps where it is given.
TEST(Codec, ErrorsAreInOrderAndImportanceIsServed) {
  const auto values = gaussian(size_t{1} << 16);
  const double power = weighted_error(values, std::vector<float>(values.size(), 0.0f), 256, {});
  const auto relative = [&](GgmlType type) {
    return std::sqrt(weighted_error(values, round_trip(*find_codec(type), values, 256), 256, {}) / power);
  };
  EXPECT_LT(relative(GgmlType::kQ8_0), 0.006);
  EXPECT_LT(relative(GgmlType::kQ6_K), 0.018);
  EXPECT_LT(relative(GgmlType::kQ5_K), 0.036);
  EXPECT_LT(relative(GgmlType::kQ4_K), 0.072);
  EXPECT_LT(relative(GgmlType::kQ3_K), 0.15);
  EXPECT_LT(relative(GgmlType::kQ2_K), 0.31);
  std::vector<float> importance(256, 0.01f);
  for (size_t j = 0; j < 256; j += 8) importance[j] = 10;
  for (const GgmlType type : {GgmlType::kQ2_K, GgmlType::kQ3_K, GgmlType::kQ4_K, GgmlType::kQ5_K, GgmlType::kQ6_K, GgmlType::kIQ4_NL,
                              GgmlType::kIQ4_XS, GgmlType::kQ4_0}) {
    EncodeOptions options;
    options.importance = importance;
    const double with = weighted_error(values, round_trip(*find_codec(type), values, 256, options), 256, importance);
    const double without = weighted_error(values, round_trip(*find_codec(type), values, 256), 256, importance);
    EXPECT_LT(with, without) << find_type(type)->name;
  }
}

TEST(Codec, EncodingOfDecodedIsTheSame) {
  const auto values = gaussian(4096);
  for (const GgmlType type : {GgmlType::kF16, GgmlType::kBF16, GgmlType::kQ8_0}) {
    const auto once = round_trip(*find_codec(type), values, 256);
    const auto twice = round_trip(*find_codec(type), once, 256);
    for (size_t i = 0; i < once.size(); ++i) EXPECT_NEAR(once[i], twice[i], 1e-4 * std::abs(once[i])) << find_type(type)->name;
  }
}

// A code moved by one level changes exactly one weight, by one step of the format; the ends saturate nothing else.
TEST(CodeAccess, MovesOneWeight) {
  for (const Codec& codec : all_codecs()) {
    if (codec.codes == nullptr) continue;
    const uint32_t n = codec.info->block_size;
    CounterRandom random(5, static_cast<uint64_t>(codec.info->type));
    std::vector<std::byte> block(codec.info->block_bytes);
    for (std::byte& b : block) b = static_cast<std::byte>(random.next_below(128));
    if (codec.encode != nullptr) {
      const auto values = gaussian(n, 1.0);
      codec.encode(values.data(), nullptr, n, block.data());
    } else {
      store_u16(block.data(), float_to_half(0.5f));
    }
    std::vector<float> before(n), after(n);
    codec.decode(block.data(), n, before.data());
    for (uint32_t i = 0; i < n; ++i) {
      auto moved = block;
      const int code = codec.codes->get(moved.data(), i);
      ASSERT_GE(code, codec.codes->min_code) << codec.info->name << ' ' << i;
      ASSERT_LE(code, codec.codes->max_code) << codec.info->name << ' ' << i;
      const int other = code < codec.codes->max_code ? code + 1 : code - 1;
      codec.codes->set(moved.data(), i, other);
      EXPECT_EQ(codec.codes->get(moved.data(), i), other);
      codec.decode(moved.data(), n, after.data());
      for (uint32_t j = 0; j < n; ++j)
        if (j != i) {
          EXPECT_EQ(std::memcmp(&before[j], &after[j], 4), 0) << codec.info->name << " weight " << j << " moved with " << i;
        }
      codec.codes->set(moved.data(), i, code);
      codec.decode(moved.data(), n, after.data());
      EXPECT_EQ(after[i], before[i]) << codec.info->name;
    }
  }
}

// The table of docs/types.md, line by line: it cannot say anything else than the code.
TEST(Codec, TheTableOfTypesIsTheCode) {
  std::ifstream file(std::string(ASSAY_SOURCE_DIR) + "/docs/types.md");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  for (const Codec& codec : all_codecs()) {
    const GgmlTypeInfo& info = *codec.info;
    const std::string row = info.block_size == 1 ? "any" : "multiple of " + std::to_string(info.block_size);
    const std::string encoder = codec.encode ? "yes" : "-";
    const std::string codes = codec.codes ? std::to_string(codec.codes->min_code) + " .. " + std::to_string(codec.codes->max_code) : "-";
    const std::string line = fmt::format("| {} | {} | {} | {} | {} | {} | {} |\n", info.name, info.block_size, info.block_bytes,
                                         8.0 * info.block_bytes / info.block_size, row, encoder, codes);
    EXPECT_NE(text.find(line), std::string::npos) << line;
  }
  const std::string table = text.substr(text.find("|---"));
  EXPECT_EQ(static_cast<size_t>(std::ranges::count(table.substr(0, table.find("\n\n")), '\n')), all_codecs().size());
}

TEST(Codec, SizesAreChecked) {
  std::vector<float> values(256);
  std::vector<std::byte> bytes(143);
  EXPECT_FALSE(encode(GgmlType::kQ4_K, values, 256, bytes));
  EXPECT_FALSE(decode(GgmlType::kQ4_K, bytes, 256, values));
  EXPECT_FALSE(row_fits(GgmlType::kQ4_K, 896));
  EXPECT_TRUE(row_fits(GgmlType::kQ5_0, 896));
}

}  // namespace
}  // namespace assay
