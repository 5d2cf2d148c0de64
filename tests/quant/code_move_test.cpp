// Moves of codes: by hand for Q4_0, Q8_0 and Q4_K, by property for every type.
#include "assay/quant/code_move.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>

#include "assay/base/random.h"
#include "assay/quant/codec.h"
#include "assay/quant/grid_codes.h"
#include "assay/quant/grid_tables.h"
#include "assay/quant/half.h"
#include "assay/quant/scale_layout.h"

namespace assay {
namespace {

constexpr uint64_t kRow = 512;
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

using Bytes = std::vector<std::byte>;

std::vector<float> decoded(GgmlType type, const Bytes& bytes) {
  const GgmlTypeInfo& info = *find_type(type);
  std::vector<float> values(bytes.size() / info.block_bytes * info.block_size);
  EXPECT_TRUE(decode(type, bytes, values.size(), values));
  return values;
}

// A row as an encoder writes it; random bytes with a sound scale where there is no encoder.
Bytes encoded_row(const Codec& codec, uint64_t seed = 1) {
  CounterRandom random(seed, static_cast<uint64_t>(codec.info->type));
  Bytes bytes(kRow / codec.info->block_size * codec.info->block_bytes);
  if (codec.encode != nullptr) {
    std::vector<float> values(kRow);
    for (float& value : values) value = static_cast<float>(0.02 * random.next_normal());
    EXPECT_TRUE(encode(codec.info->type, values, kRow, bytes));
  } else {
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.next_below(256));
    for (size_t at = 0; at < bytes.size(); at += codec.info->block_bytes) store_u16(bytes.data() + at, float_to_half(0.5f));
  }
  return bytes;
}

std::vector<const Codec*> codecs_of(std::initializer_list<CodeMoveKind> kinds) {
  std::vector<const Codec*> found;
  for (const Codec& codec : all_codecs())
    if (std::ranges::count(kinds, code_move_kind(codec.info->type)) > 0) found.push_back(&codec);
  return found;
}
std::vector<const Codec*> movable() { return codecs_of({CodeMoveKind::kLevel, CodeMoveKind::kSign, CodeMoveKind::kGridPoint}); }

bool same(float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); }

// ---- by hand

TEST(CodeMove, Q4_0ByHand) {
  Bytes block(18);
  store_u16(block.data(), float_to_half(0.5f));
  block[2 + 3] = std::byte{0xA5};  // weight 3: 5 - 8 = -3, weight 19: 10 - 8 = 2
  block[2 + 4] = std::byte{0x0F};  // weight 4: 7, the highest; weight 20: -8, the lowest
  Bytes row = block;
  auto move = move_code(GgmlType::kQ4_0, row, 3, 1);
  ASSERT_TRUE(move && move->changes.size() == 1);
  EXPECT_EQ(row[5], std::byte{0xA6});
  EXPECT_EQ(move->changes[0].weight, 3u);
  EXPECT_EQ(move->changes[0].before, -1.5f);
  EXPECT_EQ(move->changes[0].after, -1.0f);
  EXPECT_EQ(move->changes[0].change(), 0.5f);
  move = move_code(GgmlType::kQ4_0, row, 19, -1);
  ASSERT_TRUE(move && move->changes.size() == 1);
  EXPECT_EQ(row[5], std::byte{0x96});
  EXPECT_EQ(move->changes[0].after, 0.5f);
  for (const auto& [weight, direction] : {std::pair{4, 1}, std::pair{20, -1}}) {
    const Bytes old = row;
    move = move_code(GgmlType::kQ4_0, row, static_cast<uint64_t>(weight), direction);
    ASSERT_TRUE(move);
    EXPECT_TRUE(move->saturated && move->changes.empty());
    EXPECT_EQ(row, old);
  }
}

TEST(CodeMove, Q8_0ByHand) {
  Bytes row(2 * 34);
  store_u16(row.data() + 34, float_to_half(0.25f));
  row[34 + 2 + 7] = std::byte{0x80};  // weight 39: -128
  row[34 + 2 + 8] = std::byte{0x7F};  // weight 40: 127
  auto move = move_code(GgmlType::kQ8_0, row, 39, 1);
  ASSERT_TRUE(move && move->changes.size() == 1);
  EXPECT_EQ(move->changes[0].weight, 39u);
  EXPECT_EQ(move->changes[0].before, -32.0f);
  EXPECT_EQ(move->changes[0].after, -31.75f);
  EXPECT_FALSE(move_code(GgmlType::kQ8_0, row, 39, -1)->saturated);
  EXPECT_TRUE(move_code(GgmlType::kQ8_0, row, 39, -1)->saturated);
  EXPECT_TRUE(move_code(GgmlType::kQ8_0, row, 40, 1)->saturated);
  // The block before it has scale 0: the code moves, the value stays, and the weight is reported all the same.
  move = move_code(GgmlType::kQ8_0, row, 0, 1);
  ASSERT_TRUE(move && move->changes.size() == 1);
  EXPECT_EQ(row[2], std::byte{1});
  EXPECT_EQ(move->changes[0].change(), 0.0f);
  std::vector<float> up(64), down(64);
  ASSERT_TRUE(code_steps(GgmlType::kQ8_0, row, up, down));
  EXPECT_EQ(up[39], 0.25f);
  EXPECT_EQ(down[39], 0.0f);
  EXPECT_EQ(up[40], 0.0f);
  EXPECT_EQ(down[40], -0.25f);
  EXPECT_EQ(up[3], 0.0f);
}

// Sub-block 5 of d = 1/2, dmin = 1/4: scale 37 = 0b100101, minimum 19 = 0b010011. Weight 167 = 5 * 32 + 7: high nibble of byte 16 + 64 + 7.
TEST(CodeMove, Q4_KByHand) {
  Bytes row(144);
  store_u16(row.data(), float_to_half(0.5f));
  store_u16(row.data() + 2, float_to_half(0.25f));
  row[4 + 9] = std::byte{0x35};
  row[4 + 1] = std::byte{0x80};
  row[4 + 5] = std::byte{0x40};
  row[16 + 64 + 7] = std::byte{0x9C};
  const auto move = move_code(GgmlType::kQ4_K, row, 167, 1);
  ASSERT_TRUE(move && move->changes.size() == 1);
  EXPECT_EQ(row[87], std::byte{0xAC});
  EXPECT_EQ(move->changes[0].before, 161.75f);  // 18.5 * 9 - 4.75
  EXPECT_EQ(move->changes[0].after, 180.25f);
  std::vector<float> up(256), down(256);
  ASSERT_TRUE(code_steps(GgmlType::kQ4_K, row, up, down));
  EXPECT_EQ(up[167], 18.5f);
  EXPECT_EQ(down[167], -18.5f);
  EXPECT_EQ(up[166], 18.5f);
  EXPECT_EQ(down[166], 0.0f);  // code 0
  EXPECT_EQ(up[135], 0.0f);    // its sub-block's scale is 0
}

// FP4 has two zeros: the negative one moves as the other does, and back comes the positive one. The largest code is 12 halves.
TEST(CodeMove, Fp4ZerosByHand) {
  Bytes row(17);
  row[0] = std::byte{128};  // scale 1
  row[1] = std::byte{0x78};
  auto move = move_code(GgmlType::kMXFP4, row, 0, 1);
  ASSERT_TRUE(move && move->changes.size() == 1);
  EXPECT_EQ(move->changes[0].change(), 1.0f);
  EXPECT_EQ(row[1], std::byte{0x71});
  ASSERT_TRUE(move_code(GgmlType::kMXFP4, row, 0, -1));
  EXPECT_EQ(row[1], std::byte{0x70});
  EXPECT_TRUE(move_code(GgmlType::kMXFP4, row, 16, 1)->saturated);
  move = move_code(GgmlType::kMXFP4, row, 16, -1);
  ASSERT_TRUE(move && move->changes.size() == 1);
  EXPECT_EQ(move->changes[0].before, 12.0f);
  EXPECT_EQ(move->changes[0].after, 8.0f);
}

// ---- every type

// The decoded row differs in one weight, whose new value is that of the next level; only bytes of codes change; back gives the bytes.
TEST(CodeMove, LevelsMoveOneWeightByOneLevel) {
  for (const Codec* codec : codecs_of({CodeMoveKind::kLevel})) {
    const GgmlType type = codec->info->type;
    SCOPED_TRACE(codec->info->name);
    const Bytes bytes = encoded_row(*codec);
    const std::vector<float> before = decoded(type, bytes);
    const ScaleLayout* layout = find_scale_layout(type);
    int saturated = 0;
    for (uint64_t w = 0; w < kRow; ++w) {
      const uint32_t block = codec->info->block_size, i = static_cast<uint32_t>(w % block);
      const std::byte* at = bytes.data() + w / block * codec->info->block_bytes;
      const int code = codec->codes->get(at, i);
      for (const int direction : {1, -1}) {
        Bytes moved = bytes;
        const auto move = move_code(type, moved, w, direction);
        ASSERT_TRUE(move);
        const bool end = direction > 0 ? code >= codec->codes->max_code : code <= codec->codes->min_code;
        ASSERT_EQ(move->saturated, end);
        saturated += end;
        if (end) {
          ASSERT_EQ(moved, bytes);
          continue;
        }
        ASSERT_EQ(move->changes.size(), 1u);
        const DecodedChange& change = move->changes[0];
        ASSERT_EQ(change.weight, w);
        const std::vector<float> after = decoded(type, moved);
        for (uint64_t k = 0; k < kRow; ++k) ASSERT_TRUE(same(after[k], k == w ? change.after : before[k])) << k;
        ASSERT_EQ(change.before, before[w]);
        if (layout != nullptr) {
          BlockScales scales;
          layout->read(at, scales);
          const uint32_t g = i / layout->group;
          const auto index = static_cast<size_t>(code + direction - layout->low_code);
          const float level = layout->levels.empty() ? static_cast<float>(code + direction) : layout->levels[index];
          ASSERT_EQ(change.after, scales.unit * scales.scale[g] * level - scales.min_unit * scales.minimum[g]);
        } else {  // d = 1/2: Q1_0 turns its sign, Q2_0 moves by d
          ASSERT_EQ(change.change(), static_cast<float>(direction) * (type == GgmlType::kQ1_0 ? 1.0f : 0.5f));
        }
        for (size_t b = 0; b < bytes.size(); ++b) {
          if (moved[b] == bytes[b]) continue;
          ASSERT_EQ(b / codec->info->block_bytes, w / block);
          const auto regions = byte_regions(type);
          const auto region =
              std::ranges::find_if(regions, [&](const ByteRegion& r) { return r.holds(b % codec->info->block_bytes); })->name;
          ASSERT_TRUE(region == "codes" || region == "high bits") << region;
        }
        ASSERT_TRUE(move_code(type, moved, w, -direction));
        // FP4 knows two zeros; back comes the positive one.
        if (before[w] == 0 && std::signbit(before[w]) && moved != bytes) {
          ASSERT_EQ(codec->codes->get(moved.data() + (at - bytes.data()), i), 0);
        } else {
          ASSERT_EQ(moved, bytes) << w << ' ' << direction;
        }
      }
    }
    EXPECT_GT(saturated, 0) << "no saturated code was tried";
  }
}

// Grid types: scales and other octets keep their codes, and the report is exactly what the decoder sees.
TEST(CodeMove, GridMovesStayInTheirOctet) {
  for (const Codec* codec : codecs_of({CodeMoveKind::kSign, CodeMoveKind::kGridPoint})) {
    const GgmlType type = codec->info->type;
    SCOPED_TRACE(codec->info->name);
    const GridFormat& format = *find_grid_format(type);
    const Bytes bytes = encoded_row(*codec);
    const std::vector<float> before = decoded(type, bytes);
    int moves = 0;
    for (uint64_t w = 0; w < kRow; ++w) {
      for (const int direction : {1, -1}) {
        Bytes moved = bytes;
        const auto move = move_code(type, moved, w, direction);
        ASSERT_TRUE(move);
        if (move->saturated) {
          ASSERT_EQ(moved, bytes);
          continue;
        }
        ++moves;
        std::vector<float> expected = before;
        ASSERT_EQ(move->changes[0].weight, w);
        for (const DecodedChange& change : move->changes) {
          ASSERT_EQ(change.weight / kOctet, w / kOctet);
          ASSERT_EQ(change.before, before[change.weight]);
          expected[change.weight] = change.after;
        }
        ASSERT_EQ(decoded(type, moved), expected);
        const size_t at = w / kSuperBlock * codec->info->block_bytes;
        GridBlock was, is;
        format.unpack(bytes.data() + at, was);
        format.unpack(moved.data() + at, is);
        ASSERT_EQ(was.d, is.d);
        ASSERT_TRUE(std::ranges::equal(was.levels, is.levels));
        const uint64_t octet = w % kSuperBlock / kOctet;
        for (uint64_t o = 0; o < kSuperBlock / kOctet; ++o) {
          if (o == octet) continue;
          ASSERT_TRUE(std::ranges::equal(was.codes[o].point, is.codes[o].point) && was.codes[o].signs == is.codes[o].signs &&
                      was.codes[o].lowered == is.codes[o].lowered);
        }
        for (const size_t b : {size_t{0}, size_t{1}})  // of the other super-block nothing
          if (b != w / kSuperBlock) {
            ASSERT_EQ(std::memcmp(moved.data() + b * codec->info->block_bytes, bytes.data() + b * codec->info->block_bytes,
                                  codec->info->block_bytes),
                      0);
          }
        if (code_move_kind(type) == CodeMoveKind::kSign) {
          ASSERT_EQ(move->changes[0].after, -before[w]);
          ASSERT_EQ(move->changes.size(), format.parity ? 2u : 1u);
          if (format.parity) {
            const DecodedChange& companion = move->changes[1];
            ASSERT_EQ(companion.after, -companion.before);
            ASSERT_EQ(std::popcount(is.codes[octet].signs) % 2, 0);
            for (uint64_t k = w / kOctet * kOctet; k < w / kOctet * kOctet + kOctet; ++k) {
              if (k == w) continue;
              ASSERT_LE(std::abs(companion.before), std::abs(before[k]));
              ASSERT_TRUE(std::abs(companion.before) < std::abs(before[k]) || companion.weight <= k);
            }
          }
          ASSERT_TRUE(move_code(type, moved, w, -direction));
          ASSERT_EQ(moved, bytes);
        } else {
          const int8_t(&old_point)[8] = kIq1SGrid[was.codes[octet].point[0]], (&new_point)[8] = kIq1SGrid[is.codes[octet].point[0]];
          ASSERT_EQ(new_point[w % kOctet], old_point[w % kOctet] + direction);
          const auto distance = [&](const int8_t(&point)[8]) {
            int sum = 0;
            for (int k = 0; k < kOctet; ++k) sum += (point[k] - old_point[k]) * (point[k] - old_point[k]);
            return sum;
          };
          for (const auto& point : kIq1SGrid)
            if (point[w % kOctet] == new_point[w % kOctet]) {
              ASSERT_LE(distance(new_point), distance(point));
            }
        }
      }
    }
    // A sign can turn one way; of three levels two have a neighbour above, two below.
    EXPECT_GE(moves, static_cast<int>(kRow));
    if (code_move_kind(type) == CodeMoveKind::kSign) {
      EXPECT_EQ(moves, static_cast<int>(kRow));
    }
  }
}

// Steps are the moves' changes, bit for bit; so under scales of 0, infinity and NaN, negative ones included.
TEST(CodeSteps, AreTheChangesOfTheMoves) {
  for (const Codec* codec : movable()) {
    const GgmlType type = codec->info->type;
    SCOPED_TRACE(codec->info->name);
    CounterRandom random(9, static_cast<uint64_t>(type));
    for (int round = 0; round < 12; ++round) {
      Bytes bytes = encoded_row(*codec, 100 + static_cast<uint64_t>(round));
      if (round % 2 == 1) {  // any bytes at all: scales of every kind
        for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.next_below(256));
      } else if (round % 4 == 2) {
        for (const ByteRegion& region : byte_regions(type)) {
          if (region.name != "block scale") continue;
          if (region.bytes == 2) store_u16(bytes.data() + region.first, round == 2 ? 0x7C00 : 0x7E00);
        }
      }
      std::vector<float> up(kRow, kNaN), down(kRow, kNaN);
      ASSERT_TRUE(code_steps(type, bytes, up, down));
      for (uint64_t w = 0; w < kRow; ++w)
        for (const int direction : {1, -1}) {
          Bytes moved = bytes;
          const auto move = move_code(type, moved, w, direction);
          ASSERT_TRUE(move);
          const float step = (direction > 0 ? up : down)[w], change = move->saturated ? 0.0f : move->changes[0].change();
          ASSERT_TRUE(code_move_kind(type) != CodeMoveKind::kLevel || move->changes.size() == (move->saturated ? 0u : 1u));
          ASSERT_TRUE(same(step, change)) << round << ' ' << w << ' ' << direction << ": " << step << ' ' << change;
        }
    }
  }
}

TEST(CodeMove, RefusesByName) {
  for (const GgmlType type : {GgmlType::kF32, GgmlType::kF16, GgmlType::kBF16, GgmlType::kF64, GgmlType::kI8}) {
    Bytes row(64);
    std::vector<float> up(16), down(16);
    const auto move = move_code(type, row, 0, 1);
    ASSERT_FALSE(move);
    EXPECT_EQ(move.error().code, ErrorCode::kUnsupported);
    EXPECT_NE(move.error().message.find(std::string(find_type(type)->name) + " has no codes"), std::string::npos) << move.error().message;
    const auto steps = code_steps(type, row, up, down);
    ASSERT_FALSE(steps);
    EXPECT_EQ(steps.error().message, move.error().message);
  }
  Bytes row(36);
  std::vector<float> up(64), down(63);
  ASSERT_TRUE(move_code(GgmlType::kQ4_0, row, 63, 1));
  EXPECT_EQ(move_code(GgmlType::kQ4_0, row, 64, 1).error().code, ErrorCode::kUsage);
  EXPECT_EQ(move_code(GgmlType::kQ4_0, row, 63, 2).error().code, ErrorCode::kUsage);
  EXPECT_EQ(move_code(GgmlType::kQ4_0, std::span(row).first(35), 0, 1).error().code, ErrorCode::kInternal);
  EXPECT_EQ(code_steps(GgmlType::kQ4_0, row, up, down).error().code, ErrorCode::kInternal);
}

// The second table of docs/types.md cannot say anything else than the code; its last column is prose.
TEST(CodeMove, TheTableOfMovesIsTheCode) {
  std::ifstream file(std::string(ASSAY_SOURCE_DIR) + "/docs/types.md");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  for (const Codec& codec : all_codecs()) {
    const GgmlType type = codec.info->type;
    std::string regions;
    for (const ByteRegion& region : byte_regions(type))
      regions += fmt::format("{}{} {}", regions.empty() ? "" : ", ", region.name, region.size());
    const auto [kind, ends] = [&]() -> std::pair<std::string, std::string> {
      switch (code_move_kind(type)) {
        case CodeMoveKind::kLevel:
          return {"level", fmt::format("{}, {}", codec.codes->min_code, codec.codes->max_code)};
        case CodeMoveKind::kSign:
          return {find_grid_format(type)->parity ? "two signs" : "sign", "+, -"};
        case CodeMoveKind::kGridPoint:
          return {"grid point", "-1, 1"};
        case CodeMoveKind::kNone:
          break;
      }
      return {"-", "-"};
    }();
    const std::string line = fmt::format("| {} | {} | {} | {} |", codec.info->name, kind, ends, regions);
    EXPECT_NE(text.find("\n" + line), std::string::npos) << line;
  }
}

}  // namespace
}  // namespace assay
