#include "assay/quant/code_move.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <string>

#include "assay/base/lanes.h"
#include "assay/base/text.h"
#include "assay/quant/codec.h"
#include "assay/quant/grid_codes.h"
#include "assay/quant/grid_tables.h"
#include "assay/quant/scale_layout.h"

namespace assay {
namespace {

constexpr uint32_t kMaxBlock = 256, kMaxBlockBytes = 256;  // weights, bytes; a test compares with every type
using Values = std::array<float, kMaxBlock>;
using Bytes = std::array<std::byte, kMaxBlockBytes>;

tl::unexpected<Error> no_codes(GgmlType type) {
  const GgmlTypeInfo* info = find_type(type);
  return fail(ErrorCode::kUnsupported, {"move: type " + (info ? std::string(info->name) : std::to_string(static_cast<uint32_t>(type))),
                                        "has no codes", "a quantized type is needed", ""});
}

// The codec, if the type can be decoded and the row is whole blocks of it.
Result<const Codec*> codec_of(GgmlType type, size_t row_bytes) {
  const Codec* codec = find_codec(type);
  if (codec == nullptr || codec->decode == nullptr) {
    return fail(ErrorCode::kUnsupported, {"move: ggml type " + std::to_string(static_cast<uint32_t>(type)), "cannot be decoded", "", ""});
  }
  if (row_bytes % codec->info->block_bytes != 0) {
    return fail(ErrorCode::kInternal, {"move: a row of " + group_digits(row_bytes) + " bytes",
                                       "is not whole blocks of " + std::string(codec->info->name), "", ""});
  }
  return codec;
}

Status check_place(std::string_view what, uint64_t at, uint64_t end) {
  if (at < end) return {};
  return fail(ErrorCode::kUsage,
              {"move: " + std::string(what) + " " + group_digits(at), "is past the end", "the row has " + group_digits(end), ""});
}

// ---- grid types

// Of the other weights of an octet the one of least magnitude, the first of equals.
uint32_t least_other(const float* octet, uint32_t j) {
  uint32_t least = j == 0 ? 1 : 0;
  for (uint32_t k = least + 1; k < kOctet; ++k)
    if (k != j && std::abs(octet[k]) < std::abs(octet[least])) least = k;
  return least;
}

// The point whose level j is `level` and whose other levels are nearest to those of `point`, the first of equals; 2,048: none.
uint32_t nearest_iq1_point(uint32_t point, uint32_t j, int level) {
  constexpr uint32_t kPoints = std::size(kIq1SGrid);
  uint32_t best = kPoints;
  int least = 0;
  for (uint32_t p = 0; p < kPoints; ++p) {
    if (kIq1SGrid[p][j] != level) continue;
    int distance = 0;
    for (uint32_t k = 0; k < kOctet; ++k) {
      const int difference = kIq1SGrid[p][k] - kIq1SGrid[point][k];
      distance += difference * difference;
    }
    if (best == kPoints || distance < least) best = p, least = distance;
  }
  return best;
}

// Changes the codes of weight i's octet; false: saturated. `values`: the block decoded.
bool move_grid_code(const GridFormat& format, std::byte* block, uint32_t i, int direction, const float* values) {
  GridBlock codes;
  format.unpack(block, codes);
  Bytes before{}, after{};
  format.pack(codes, before.data());
  OctetCode& code = codes.codes[i / kOctet];
  const uint32_t j = i % kOctet;
  if (format.shifts == Shifts::kNone) {
    const bool negative = ((code.signs >> j) & 1u) != 0;
    if (negative != (direction > 0)) return false;
    code.signs ^= static_cast<uint8_t>(1u << j);
    if (format.parity) code.signs ^= static_cast<uint8_t>(1u << least_other(values + i / kOctet * kOctet, j));
  } else {
    const uint32_t point = nearest_iq1_point(code.point[0], j, kIq1SGrid[code.point[0]][j] + direction);
    if (point == std::size(kIq1SGrid)) return false;
    code.point[0] = static_cast<uint16_t>(point);
  }
  format.pack(codes, after.data());
  // Only what the codes changed: a NaN scale, for one, need not survive unpacking.
  for (uint32_t b = 0; b < find_type(format.type)->block_bytes; ++b) block[b] ^= before[b] ^ after[b];
  return true;
}

// Steps of the eight weights of an octet.
void sign_steps(unsigned signs, const float* values, float* up, float* down) {
  for (uint32_t j = 0; j < kOctet; ++j) {
    const bool negative = ((signs >> j) & 1u) != 0;
    const float turned = -values[j] - values[j];
    up[j] = negative ? turned : 0.0f;
    down[j] = negative ? 0.0f : turned;
  }
}
void iq1_steps(const int8_t (&point)[kOctet], float shift, float scale, const float* values, float* up, float* down) {
  for (uint32_t j = 0; j < kOctet; ++j) {
    const auto level = static_cast<float>(point[j]);
    const float above = scale * (level + 1 + shift) - values[j], below = scale * (level - 1 + shift) - values[j];
    up[j] = level < 1 ? above : 0.0f;
    down[j] = level > -1 ? below : 0.0f;
  }
}

void grid_steps(const Codec& codec, const GridFormat& format, const std::byte* row, uint64_t weights, float* up, float* down) {
  GridBlock codes;
  Values values;
  for (uint64_t first = 0; first < weights; first += kSuperBlock, row += codec.info->block_bytes, up += kSuperBlock, down += kSuperBlock) {
    format.unpack(row, codes);
    codec.decode(row, kSuperBlock, values.data());
    for (uint32_t o = 0; o < kSuperBlock / kOctet; ++o) {
      const OctetCode& code = codes.codes[o];
      const uint32_t at = o * kOctet;
      if (format.shifts == Shifts::kNone) {
        sign_steps(code.signs, values.data() + at, up + at, down + at);
      } else {
        const float scale = codes.d * static_cast<float>(2 * codes.levels[at / static_cast<uint32_t>(format.run)] + 1);
        iq1_steps(kIq1SGrid[code.point[0]], code.lowered ? -kIq1Shift : kIq1Shift, scale, values.data() + at, up + at, down + at);
      }
    }
  }
}

// ---- scalar types

// Codes are their own levels.
ASSAY_CLONES void linear_block(const ScaleLayout& layout, const BlockScales& scales, const float* __restrict level, float* __restrict up,
                               float* __restrict down) {
  const auto low = static_cast<float>(layout.low_code), high = static_cast<float>(layout.high_code);
  const uint32_t group = layout.group;
  for (uint32_t g = 0; g < layout.groups(); ++g) {
    const float scale = scales.unit * scales.scale[g], minimum = scales.min_unit * scales.minimum[g];
    for (uint32_t i = g * group; i < (g + 1) * group; ++i) {
      const float value = scale * level[i] - minimum;
      const float above = (scale * (level[i] + 1) - minimum) - value, below = (scale * (level[i] - 1) - minimum) - value;
      up[i] = level[i] < high ? above : 0.0f;
      down[i] = level[i] > low ? below : 0.0f;
    }
  }
}

// The levels beside each whole number from -128 to 127 that is a level; itself where there is none.
struct Neighbours {
  std::array<float, 256> above{}, below{};
};
constexpr int kMiddle = 128;

Neighbours neighbours_of(std::span<const float> levels) {
  Neighbours found;
  for (size_t i = 0; i < levels.size(); ++i) {
    const auto at = static_cast<size_t>(static_cast<int>(levels[i]) + kMiddle);
    found.above[at] = levels[std::min(i + 1, levels.size() - 1)];
    found.below[at] = levels[i == 0 ? 0 : i - 1];
  }
  return found;
}

void table_block(const ScaleLayout& layout, const BlockScales& scales, const Neighbours& neighbours, const float* level, float* up,
                 float* down) {
  for (uint32_t i = 0; i < layout.block; ++i) {
    const float scale = scales.unit * scales.scale[i / layout.group];
    const auto at = static_cast<size_t>(static_cast<int>(level[i]) + kMiddle);
    const float value = scale * level[i], above = neighbours.above[at], below = neighbours.below[at];
    up[i] = above > level[i] ? scale * above - value : 0.0f;
    down[i] = below < level[i] ? scale * below - value : 0.0f;
  }
}

// A block decodes to its levels once its scales are 1 and its minima 0.
void layout_steps(const Codec& codec, const ScaleLayout& layout, const std::byte* row, uint64_t weights, float* up, float* down) {
  BlockScales scales, ones;
  ones.scale.fill(1);
  const Neighbours neighbours = neighbours_of(layout.levels);
  Bytes block;
  Values level;
  const uint32_t n = layout.block, bytes = codec.info->block_bytes;
  for (uint64_t first = 0; first < weights; first += n, row += bytes, up += n, down += n) {
    layout.read(row, scales);
    std::memcpy(block.data(), row, bytes);
    layout.write(block.data(), ones);
    codec.decode(block.data(), n, level.data());
    if (layout.levels.empty()) {
      linear_block(layout, scales, level.data(), up, down);
    } else {
      table_block(layout, scales, neighbours, level.data(), up, down);
    }
  }
}

// Types that have codes but no encoder, so no layout of scales: a block is decoded with every code in all places. They have few.
void plain_steps(const Codec& codec, const std::byte* row, uint64_t weights, float* up, float* down) {
  const CodeAccess& access = *codec.codes;
  const uint32_t n = codec.info->block_size, bytes = codec.info->block_bytes;
  std::vector<Values> values(static_cast<size_t>(access.max_code - access.min_code + 1));
  Bytes block;
  for (uint64_t first = 0; first < weights; first += n, row += bytes, up += n, down += n) {
    std::memcpy(block.data(), row, bytes);
    for (size_t c = 0; c < values.size(); ++c) {
      for (uint32_t i = 0; i < n; ++i) access.set(block.data(), i, access.min_code + static_cast<int>(c));
      codec.decode(block.data(), n, values[c].data());
    }
    for (uint32_t i = 0; i < n; ++i) {
      const auto c = static_cast<size_t>(access.get(row, i) - access.min_code);
      up[i] = c + 1 < values.size() ? values[c + 1][i] - values[c][i] : 0.0f;
      down[i] = c > 0 ? values[c - 1][i] - values[c][i] : 0.0f;
    }
  }
}

bool differs(float a, float b) { return a != b && !(std::isnan(a) && std::isnan(b)); }

}  // namespace

CodeMoveKind code_move_kind(GgmlType type) {
  const Codec* codec = find_codec(type);
  if (codec == nullptr) return CodeMoveKind::kNone;
  if (codec->codes != nullptr) return CodeMoveKind::kLevel;
  const GridFormat* format = find_grid_format(type);
  if (format == nullptr) return CodeMoveKind::kNone;
  return format->shifts == Shifts::kNone ? CodeMoveKind::kSign : CodeMoveKind::kGridPoint;
}

Result<CodeMove> move_code(GgmlType type, std::span<std::byte> row, uint64_t weight, int direction) {
  if (code_move_kind(type) == CodeMoveKind::kNone) return no_codes(type);
  ASSAY_ASSIGN(const Codec* codec, codec_of(type, row.size()));
  const GgmlTypeInfo& info = *codec->info;
  ASSAY_TRY(check_place("weight", weight, row.size() / info.block_bytes * info.block_size));
  if (direction != 1 && direction != -1) {
    return fail(ErrorCode::kUsage, {"move: direction " + std::to_string(direction), "is not known", "1 or -1", ""});
  }
  std::byte* block = row.data() + weight / info.block_size * info.block_bytes;
  const auto i = static_cast<uint32_t>(weight % info.block_size);
  Values before, after;
  codec->decode(block, info.block_size, before.data());
  CodeMove move;
  if (codec->codes != nullptr) {
    const int code = codec->codes->get(block, i) + direction;
    move.saturated = code < codec->codes->min_code || code > codec->codes->max_code;
    if (!move.saturated) codec->codes->set(block, i, code);
  } else {
    move.saturated = !move_grid_code(*find_grid_format(type), block, i, direction, before.data());
  }
  if (move.saturated) return move;
  codec->decode(block, info.block_size, after.data());
  move.changes.push_back({weight, before[i], after[i]});
  for (uint32_t k = 0; k < info.block_size; ++k)
    if (k != i && differs(before[k], after[k])) move.changes.push_back({weight - i + k, before[k], after[k]});
  return move;
}

Status code_steps(GgmlType type, std::span<const std::byte> row, std::span<float> up, std::span<float> down) {
  const CodeMoveKind kind = code_move_kind(type);
  if (kind == CodeMoveKind::kNone) return no_codes(type);
  ASSAY_ASSIGN(const Codec* codec, codec_of(type, row.size()));
  const uint64_t weights = row.size() / codec->info->block_bytes * codec->info->block_size;
  if (up.size() != weights || down.size() != weights) {
    return fail(ErrorCode::kInternal, {"move: steps of " + group_digits(weights) + " weights",
                                       "go to " + group_digits(up.size()) + " and " + group_digits(down.size()) + " places", "", ""});
  }
  if (kind != CodeMoveKind::kLevel) {
    grid_steps(*codec, *find_grid_format(type), row.data(), weights, up.data(), down.data());
  } else if (const ScaleLayout* layout = find_scale_layout(type)) {
    layout_steps(*codec, *layout, row.data(), weights, up.data(), down.data());
  } else {
    plain_steps(*codec, row.data(), weights, up.data(), down.data());
  }
  return {};
}

Result<ByteMove> add_to_byte(GgmlType type, std::span<std::byte> row, uint64_t byte, int amount) {
  ASSAY_ASSIGN(const Codec* codec, codec_of(type, row.size()));
  ASSAY_TRY(check_place("byte", byte, row.size()));
  const GgmlTypeInfo& info = *codec->info;
  const uint64_t b = byte / info.block_bytes;
  std::byte* block = row.data() + b * info.block_bytes;
  Values before, after;
  codec->decode(block, info.block_size, before.data());
  row[byte] = static_cast<std::byte>(static_cast<unsigned>(row[byte]) + static_cast<unsigned>(amount));
  codec->decode(block, info.block_size, after.data());
  ByteMove move;
  for (const ByteRegion& region : byte_regions(type))
    if (region.holds(byte % info.block_bytes)) move.region = &region;
  for (uint32_t k = 0; k < info.block_size; ++k) {
    if (!differs(before[k], after[k])) continue;
    move.changes.push_back({b * info.block_size + k, before[k], after[k]});
    move.nan += std::isnan(after[k]);
    move.infinite += std::isinf(after[k]);
  }
  return move;
}

}  // namespace assay
