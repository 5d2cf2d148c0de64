// Moves of stored bytes: regions, what they change, and the statistics of methods.md 2.3.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>

#include "assay/base/random.h"
#include "assay/quant/code_move.h"
#include "assay/quant/codec.h"
#include "assay/quant/half.h"
#include "assay/quant/scale_layout.h"

namespace assay {
namespace {

using Bytes = std::vector<std::byte>;

TEST(ByteRegions, HoldEveryByteOfEveryTypeOnce) {
  for (const Codec& codec : all_codecs()) {
    SCOPED_TRACE(codec.info->name);
    EXPECT_LE(codec.info->block_size, 256u);  // what code_move.cpp makes room for
    EXPECT_LE(codec.info->block_bytes, 256u);
    const auto regions = byte_regions(codec.info->type);
    std::set<std::string_view> names;
    uint32_t total = 0;
    for (const ByteRegion& region : regions) {
      EXPECT_TRUE(names.insert(region.name).second) << region.name;
      total += region.size();
    }
    EXPECT_EQ(total, codec.info->block_bytes);
    for (uint32_t b = 0; b < codec.info->block_bytes; ++b)
      EXPECT_EQ(std::ranges::count_if(regions, [b](const ByteRegion& region) { return region.holds(b); }), 1) << b;
    for (const ByteRegion& region : regions) EXPECT_FALSE(region.holds(codec.info->block_bytes)) << region.name;
  }
  EXPECT_TRUE(byte_regions(GgmlType::kI8).empty());
}

// A code's bytes are in the regions of codes: what CodeAccess changes is there and nowhere else, and every such byte is reached.
TEST(ByteRegions, OfCodesAreWhereCodesAre) {
  for (const Codec& codec : all_codecs()) {
    if (codec.codes == nullptr) continue;
    SCOPED_TRACE(codec.info->name);
    Bytes touched(codec.info->block_bytes);
    for (uint32_t i = 0; i < codec.info->block_size; ++i) {
      Bytes low(codec.info->block_bytes), high = low;
      codec.codes->set(low.data(), i, codec.codes->min_code);
      codec.codes->set(high.data(), i, codec.codes->max_code);
      for (size_t b = 0; b < low.size(); ++b) touched[b] |= low[b] ^ high[b];
    }
    for (const ByteRegion& region : byte_regions(codec.info->type))
      for (uint32_t b = 0; b < touched.size(); ++b)
        if (region.holds(b)) {
          EXPECT_EQ(touched[b] != std::byte{0}, region.name == "codes" || region.name == "high bits") << region.name << ' ' << b;
        }
  }
}

// The mechanisms that methods.md 2.3 names, each by hand.
TEST(ByteMove, WrapsCarriesAndBreaksByHand) {
  Bytes q5(22);
  store_u16(q5.data(), float_to_half(0.5f));
  q5[6] = std::byte{0x3F};  // weights 0 and 16: low nibble 15, high nibble 3
  auto move = add_to_byte(GgmlType::kQ5_0, q5, 6, 1);
  ASSERT_TRUE(move && move->changes.size() == 2);
  EXPECT_EQ(move->region->name, "codes");
  EXPECT_EQ(move->changes[0].change(), -7.5f);  // wraps by 15 levels
  EXPECT_EQ(move->changes[1].weight, 16u);
  EXPECT_EQ(move->changes[1].change(), 0.5f);  // and carries
  q5[2] = std::byte{0x07};
  move = add_to_byte(GgmlType::kQ5_0, q5, 2, 1);
  ASSERT_TRUE(move && move->changes.size() == 4);  // three bits fall, the fourth rises: 16 levels each
  EXPECT_EQ(move->region->name, "high bits");
  for (const DecodedChange& change : move->changes) EXPECT_EQ(change.change(), change.weight < 3 ? -8.0f : 8.0f);

  Bytes q8(34);
  store_u16(q8.data(), float_to_half(0.25f));
  q8[2] = std::byte{0x7F};
  move = add_to_byte(GgmlType::kQ8_0, q8, 2, 1);
  ASSERT_TRUE(move && move->changes.size() == 1);
  EXPECT_EQ(move->changes[0].change(), -63.75f);  // 255 levels
  EXPECT_TRUE(move->finite());
  EXPECT_EQ(add_to_byte(GgmlType::kQ8_0, q8, 2, 255)->changes[0].change(), 63.75f);  // modulo 256

  // d = 2^-16 can lose one from its high byte; below, that byte is 0, and 0 - 1 = 0xFF makes a NaN.
  store_u16(q8.data(), 0x0100);
  EXPECT_TRUE(add_to_byte(GgmlType::kQ8_0, q8, 1, -1)->finite());
  store_u16(q8.data(), 0x00FF);
  move = add_to_byte(GgmlType::kQ8_0, q8, 1, -1);
  ASSERT_TRUE(move && move->changes.size() == 32);
  EXPECT_EQ(move->region->name, "block scale");
  EXPECT_EQ(move->nan, 32u);
  EXPECT_EQ(move->infinite, 0u);
  EXPECT_FALSE(move->finite());
  store_u16(q8.data(), 0x7B00);
  q8[3] = std::byte{5};
  move = add_to_byte(GgmlType::kQ8_0, q8, 1, 1);  // 0x7C00 is infinity; times a code of 0 it is NaN
  ASSERT_TRUE(move && move->changes.size() == 32);
  EXPECT_EQ(move->infinite, 2u);
  EXPECT_EQ(move->nan, 30u);
}

// Sub-block 5's scale has its low bits in byte 13 (tests/quant/code_move_test.cpp, Q4_KByHand): 32 weights change by d times their code.
TEST(ByteMove, Q4_KSubScaleByHand) {
  Bytes row(144);
  store_u16(row.data(), float_to_half(0.5f));
  row[13] = std::byte{0x35};
  row[5] = std::byte{0x80};
  for (size_t l = 0; l < 32; ++l) row[16 + 64 + l] = static_cast<std::byte>(l % 16 << 4);
  const auto move = add_to_byte(GgmlType::kQ4_K, row, 13, 1);
  ASSERT_TRUE(move && move->changes.size() == 30);  // two codes are 0
  EXPECT_EQ(move->region->name, "sub-scales and minima");
  for (const DecodedChange& change : move->changes) {
    const auto code = static_cast<float>(change.weight % 16);
    EXPECT_EQ(change.before, 18.5f * code);
    EXPECT_EQ(change.after, 19.0f * code);
  }
}

// Whatever the byte: the report is what the decoder sees of the whole row, and the opposite number gives the bytes back.
TEST(ByteMove, ReportsWhatTheDecoderSees) {
  for (const Codec& codec : all_codecs()) {
    SCOPED_TRACE(codec.info->name);
    CounterRandom random(4, static_cast<uint64_t>(codec.info->type));
    Bytes bytes(3 * codec.info->block_bytes);
    const uint64_t weights = 3 * uint64_t{codec.info->block_size};
    std::vector<float> before(weights), after(weights);
    for (int round = 0; round < 40; ++round) {
      for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.next_below(256));
      ASSERT_TRUE(decode(codec.info->type, bytes, weights, before));
      Bytes moved = bytes;
      const uint64_t at = random.next_below(bytes.size());
      const int amount = round % 2 ? 1 : -1;
      const auto move = add_to_byte(codec.info->type, moved, at, amount);
      ASSERT_TRUE(move);
      ASSERT_NE(move->region, nullptr);
      ASSERT_TRUE(decode(codec.info->type, moved, weights, after));
      std::vector<float> told = before;
      uint32_t nan = 0, infinite = 0;
      for (const DecodedChange& change : move->changes) {
        ASSERT_FALSE(change.before == change.after);
        told[change.weight] = change.after;
        nan += std::isnan(change.after), infinite += std::isinf(change.after);
      }
      for (uint64_t i = 0; i < weights; ++i) ASSERT_TRUE(told[i] == after[i] || (std::isnan(told[i]) && std::isnan(after[i]))) << i;
      EXPECT_EQ(nan, move->nan);
      EXPECT_EQ(infinite, move->infinite);
      for (size_t b = 0; b < bytes.size(); ++b) ASSERT_EQ(moved[b] != bytes[b], b == at);
      ASSERT_TRUE(add_to_byte(codec.info->type, moved, at, -amount));
      EXPECT_EQ(moved, bytes);
    }
    EXPECT_EQ(add_to_byte(codec.info->type, bytes, bytes.size(), 1).error().code, ErrorCode::kUsage);
  }
  Bytes row(64);
  EXPECT_EQ(add_to_byte(GgmlType::kI8, row, 0, 1).error().code, ErrorCode::kUnsupported);
}

// ---- the table of methods.md 2.3

struct Cell {
  const char* region;
  double hit, changed, squares, share, broken;  // the table's columns; shares and broken as fractions
};
struct TypeTable {
  GgmlType type;
  double mean;  // of the squares over all regions
  std::vector<Cell> cells;
};
const TypeTable kTables[] = {
    {GgmlType::kQ5_0,
     108,
     {{"codes", 0.73, 1.08, 20.5, 0.14, 0}, {"high bits", 0.18, 1.98, 507, 0.84, 0}, {"block scale", 0.09, 30.1, 23.5, 0.02, 0}}},
    {GgmlType::kQ8_0, 584, {{"codes", 0.94, 1.00, 514, 0.83, 0}, {"block scale", 0.06, 31.8, 1656, 0.17, 0}}},
    {GgmlType::kQ4_K,
     29,
     {{"codes", 0.89, 1.04, 10.3, 0.31, 0},
      {"sub-scales and minima", 0.083, 32.6, 165, 0.47, 0},
      {"block minimum", 0.013, 256, 193, 0.08, 0},
      {"block scale", 0.014, 246, 274, 0.13, 0}}},
    {GgmlType::kQ6_K,
     581,
     {{"codes", 0.61, 1.09, 23.5, 0.02, 0},
      {"high bits", 0.30, 1.20, 716, 0.37, 0},
      {"sub-scales", 0.076, 15.6, 395, 0.05, 0},
      {"block scale", 0.0105, 250, 33847, 0.55, 0.12}}},
};
// The table's figures are themselves means of 12,000 to 20,000 draws, some over a hundred hits of a long-tailed region. Ours may differ by
// what two such samples differ, the smaller of the stated sizes taken, at 3.5 standard errors (one of 2,000 cells by chance; there are 70).
constexpr double kTableTrials = 12'000, kErrors = 3.5;
constexpr uint64_t kTrials = 60'000;
// Weights of the spread that models have; Q6_K's d is then about 2^-16, which decides how often it breaks.
constexpr double kSpread = 0.02;

// Half a unit of a printed figure's last digit.
double rounding(double printed) { return printed < 2 ? 0.005 : printed < 100 ? 0.05 : 0.5; }

// A block of Gaussian weights without any search: the extremes of each group go to the ends of the codes, scales and minima to the nearest
// that can be stored. A searched encoder leaves fewer codes at the ends, where bytes wrap (Q6_K codes: 19.8 instead of 23.2).
Bytes plain_block(const ScaleLayout& layout, CounterRandom& random) {
  std::vector<float> x(layout.block);
  for (float& value : x) value = static_cast<float>(kSpread * random.next_normal());
  BlockScales scales;
  std::vector<float> wanted(layout.groups()), minimum(layout.groups());
  for (uint32_t g = 0; g < layout.groups(); ++g) {
    const auto [low, high] = std::minmax_element(x.begin() + g * layout.group, x.begin() + (g + 1) * layout.group);
    if (layout.has_minimum()) {
      minimum[g] = -std::min(0.0f, *low);
      wanted[g] = (std::max(0.0f, *high) + minimum[g]) / static_cast<float>(layout.high_code - layout.low_code);
    } else if (layout.type == GgmlType::kQ8_0) {  // to 127, as methods.md 2.2 says
      wanted[g] = std::max(std::abs(*low), std::abs(*high)) / static_cast<float>(layout.high_code);
    } else {
      wanted[g] = (std::abs(*low) > std::abs(*high) ? *low : *high) / static_cast<float>(layout.low_code);
    }
  }
  const auto by_size = [](float a, float b) { return std::abs(a) < std::abs(b); };
  const float largest = *std::ranges::max_element(wanted, by_size), deepest = *std::ranges::max_element(minimum);
  const float end = layout.has_minimum() || !layout.has_group_scales() ? layout.scales.back() : layout.scales.front();
  scales.unit = nearest_unit(layout.unit, largest / end);
  scales.min_unit = nearest_unit(layout.unit, layout.has_minimum() ? deepest / layout.minimum_high : 0);
  for (uint32_t g = 0; g < layout.groups(); ++g) {
    scales.scale[g] = nearest_scale(layout.scales, wanted[g] / scales.unit);
    if (layout.has_minimum()) scales.minimum[g] = std::min(layout.minimum_high, std::nearbyint(minimum[g] / scales.min_unit));
  }
  const Codec& codec = *find_codec(layout.type);
  Bytes bytes(codec.info->block_bytes);
  layout.write(bytes.data(), scales);
  for (uint32_t i = 0; i < layout.block; ++i) {
    const float step = scales.unit * scales.scale[i / layout.group];
    const float code = step == 0 ? 0 : std::nearbyint((x[i] + scales.min_unit * scales.minimum[i / layout.group]) / step);
    codec.codes->set(bytes.data(), i, std::clamp(static_cast<int>(code), layout.low_code, layout.high_code));
  }
  return bytes;
}

struct Sums {
  double hits = 0, broken = 0, changed = 0, changed_squared = 0, squares = 0, squares_squared = 0;
};
double variance(double sum, double sum_squared, double n) { return std::max(0.0, sum_squared / n - sum / n * (sum / n)); }

TEST(ByteMove, ReproducesTheStatisticsOfOneByteEdits) {
  for (const TypeTable& table : kTables) {
    const ScaleLayout& layout = *find_scale_layout(table.type);
    SCOPED_TRACE(find_type(table.type)->name);
    CounterRandom random(23, static_cast<uint64_t>(table.type));
    std::map<std::string_view, Sums> regions;
    for (uint64_t trial = 0; trial < kTrials; ++trial) {
      Bytes block = plain_block(layout, random);
      BlockScales scales;
      layout.read(block.data(), scales);
      const uint64_t at = random.next_below(block.size());
      const auto move = add_to_byte(table.type, block, at, random.next_below(2) ? 1 : -1);
      ASSERT_TRUE(move);
      Sums& sums = regions[move->region->name];
      ++sums.hits;
      if (!move->finite()) {
        ++sums.broken;
        continue;
      }
      double squares = 0;  // of changes in units of the weight's level before the move
      for (const DecodedChange& change : move->changes) {
        const double step = static_cast<double>(scales.unit) * scales.scale[change.weight / layout.group];
        if (step != 0) squares += std::pow((static_cast<double>(change.after) - change.before) / step, 2);
      }
      const auto changed = static_cast<double>(move->changes.size());
      sums.changed += changed, sums.changed_squared += changed * changed;
      sums.squares += squares, sums.squares_squared += squares * squares;
    }
    ASSERT_EQ(regions.size(), table.cells.size());
    const auto n = static_cast<double>(kTrials);
    const double both = 1 / kTableTrials + 1 / n;  // the variance of a difference of two means, per variance of one draw
    double total = 0, total_squared = 0;
    for (const auto& [name, sums] : regions) total += sums.squares, total_squared += sums.squares_squared;
    const auto expect = [](double ours, double printed, double error, double digit, const char* what) {
      EXPECT_NEAR(ours, printed, kErrors * error + digit) << what;
    };
    expect(total / n, table.mean, std::sqrt(variance(total, total_squared, n) * both), rounding(table.mean), "mean of all");
    for (const Cell& cell : table.cells) {
      SCOPED_TRACE(cell.region);
      const Sums& sums = regions.at(cell.region);
      const double sound = sums.hits - sums.broken, hit = sums.hits / n, broken = sums.broken / sums.hits, share = sums.squares / total;
      expect(hit, cell.hit, std::sqrt(hit * (1 - hit) * both), 0.005, "hit");
      expect(sums.changed / sound, cell.changed, std::sqrt(variance(sums.changed, sums.changed_squared, sound) * both / hit),
             rounding(cell.changed), "weights changed");
      expect(sums.squares / sound, cell.squares, std::sqrt(variance(sums.squares, sums.squares_squared, sound) * both / hit),
             rounding(cell.squares), "squares");
      expect(broken, cell.broken, std::sqrt(broken * (1 - broken) * both / hit), 0.005, "not finite");
      // A share is a ratio of sums: (1 - share) of the region's noise and share of the others'.
      const double own = variance(sums.squares, sums.squares_squared, n);
      const double others = variance(total - sums.squares, total_squared - sums.squares_squared, n);
      const double spread = std::sqrt((std::pow(1 - share, 2) * own + std::pow(share, 2) * others) * both) / (total / n);
      expect(share, cell.share, spread, 0.005, "share");
    }
  }
}

}  // namespace
}  // namespace assay
