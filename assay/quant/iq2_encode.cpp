#include "assay/quant/iq2_encode.h"

#include <algorithm>
#include <iterator>

#include "assay/quant/grid_index.h"
#include "assay/quant/grid_scales.h"
#include "assay/quant/grid_search.h"
#include "assay/quant/grid_tables.h"
#include "assay/quant/half.h"

namespace assay {
namespace {

template <const auto& kGrid, bool kEvenSigns>
struct Iq2Grid {
  static constexpr int kWidth = 8;
  static constexpr float kValues[] = {8, 25, 43};
  static constexpr bool kParity = kEvenSigns, kShifted = false;
  static const int8_t* grid() { return kGrid[0]; }
  static const GridIndex& index() {
    static const GridIndex made = index_grid(grid(), static_cast<int>(std::size(kGrid)), kWidth, kValues);
    return made;
  }
};

using Iq2Xxs = Iq2Grid<kIq2XxsGrid, true>;
using Iq2Xs = Iq2Grid<kIq2XsGrid, true>;
using Iq2S = Iq2Grid<kIq2SGrid, false>;

ASSAY_GRID_KERNELS(iq2_xxs, Iq2Xxs)
ASSAY_GRID_ERRORS(iq2_xxs, Iq2Xxs)
ASSAY_GRID_KERNELS(iq2_xs, Iq2Xs)
ASSAY_GRID_ERRORS(iq2_xs, Iq2Xs)
ASSAY_GRID_KERNELS(iq2_s, Iq2S)
ASSAY_GRID_ERRORS(iq2_s, Iq2S)

void pack_iq2_xxs(const GridBlock& block, std::byte* out) {
  store_u16(out, float_to_half(block.d));
  for (int run = 0; run < 8; ++run) {
    std::byte* group = out + 2 + 8 * run;
    uint32_t packed = static_cast<uint32_t>(block.levels[run]) << 28;
    for (int l = 0; l < 4; ++l) {
      const OctetCode& code = block.codes[4 * run + l];
      group[l] = static_cast<std::byte>(code.point[0]);
      packed |= (code.signs & 127u) << (7 * l);
    }
    store_u32(group + 4, packed);
  }
}

// Levels of 16 weights each, two to a byte.
void put_levels(const GridBlock& block, std::byte* out) {
  for (int i = 0; i < 8; ++i) out[i] = static_cast<std::byte>(block.levels[2 * i] | block.levels[2 * i + 1] << 4);
}

void pack_iq2_xs(const GridBlock& block, std::byte* out) {
  store_u16(out, float_to_half(block.d));
  for (int n = 0; n < 32; ++n)
    store_u16(out + 2 + 2 * n, static_cast<uint16_t>(block.codes[n].point[0] | (block.codes[n].signs & 127u) << 9));
  put_levels(block, out + 66);
}

void pack_iq2_s(const GridBlock& block, std::byte* out) {
  store_u16(out, float_to_half(block.d));
  std::fill_n(out + 66, 8, std::byte{});
  for (int n = 0; n < 32; ++n) {
    const OctetCode& code = block.codes[n];
    out[2 + n] = static_cast<std::byte>(code.point[0]);
    out[34 + n] = static_cast<std::byte>(code.signs);
    out[66 + n / 4] |= static_cast<std::byte>((code.point[0] >> 8) << (2 * (n % 4)));
  }
  put_levels(block, out + 74);
}

OctetCode code_of(unsigned point, unsigned signs) {
  return {.point = {static_cast<uint16_t>(point)}, .signs = static_cast<uint8_t>(signs)};
}

void get_levels(const std::byte* bytes, GridBlock& block) {
  for (int i = 0; i < 16; ++i) block.levels[i] = static_cast<uint8_t>((load_u8(bytes + i / 2) >> (4 * (i % 2))) & 15u);
}

void unpack_iq2_xxs(const std::byte* bytes, GridBlock& block) {
  block.d = load_half(bytes);
  for (int run = 0; run < 8; ++run) {
    const std::byte* group = bytes + 2 + 8 * run;
    const uint32_t packed = load_u32(group + 4);
    block.levels[run] = static_cast<uint8_t>(packed >> 28);
    for (int l = 0; l < 4; ++l) block.codes[4 * run + l] = code_of(load_u8(group + l), even_signs((packed >> (7 * l)) & 127u));
  }
}

void unpack_iq2_xs(const std::byte* bytes, GridBlock& block) {
  block.d = load_half(bytes);
  for (int n = 0; n < 32; ++n) {
    const unsigned packed = load_u16(bytes + 2 + 2 * n);
    block.codes[n] = code_of(packed & 511u, even_signs(packed >> 9));
  }
  get_levels(bytes + 66, block);
}

void unpack_iq2_s(const std::byte* bytes, GridBlock& block) {
  block.d = load_half(bytes);
  for (int n = 0; n < 32; ++n) {
    const unsigned high = (load_u8(bytes + 66 + n / 4) >> (2 * (n % 4))) & 3u;
    block.codes[n] = code_of(load_u8(bytes + 2 + n) | high << 8, load_u8(bytes + 34 + n));
  }
  get_levels(bytes + 74, block);
}

}  // namespace

const GridFormat kIq2XxsFormat = {.type = GgmlType::kIQ2_XXS,
                                  .run = 32,
                                  .top = 15,
                                  .unit = 0.125f,
                                  .least = 8,
                                  .mean = 17,
                                  .most = 43,
                                  .shifts = Shifts::kNone,
                                  .parity = true,
                                  .refits = 2,
                                  .near_steps = 9,
                                  .loose_errors = iq2_xxs_loose,
                                  .errors = iq2_xxs_errors,
                                  .choose = iq2_xxs_choose,
                                  .pack = pack_iq2_xxs,
                                  .unpack = unpack_iq2_xxs};
const GridFormat kIq2XsFormat = {.type = GgmlType::kIQ2_XS,
                                 .run = 16,
                                 .top = 15,
                                 .unit = 0.125f,
                                 .least = 8,
                                 .mean = 17,
                                 .most = 43,
                                 .shifts = Shifts::kNone,
                                 .parity = true,
                                 .refits = 2,
                                 .near_steps = 9,
                                 .loose_errors = iq2_xs_loose,
                                 .errors = iq2_xs_errors,
                                 .choose = iq2_xs_choose,
                                 .pack = pack_iq2_xs,
                                 .unpack = unpack_iq2_xs};
const GridFormat kIq2SFormat = {.type = GgmlType::kIQ2_S,
                                .run = 16,
                                .top = 15,
                                .unit = 0.125f,
                                .least = 8,
                                .mean = 17,
                                .most = 43,
                                .shifts = Shifts::kNone,
                                .refits = 2,
                                .near_steps = 5,
                                .loose_errors = iq2_s_loose,
                                .errors = iq2_s_errors,
                                .choose = iq2_s_choose,
                                .pack = pack_iq2_s,
                                .unpack = unpack_iq2_s};

void encode_iq2_xxs(const float* row, const float* importance, uint64_t n, std::byte* out) {
  encode_grid_row(kIq2XxsFormat, row, importance, n, out);
}
void encode_iq2_xs(const float* row, const float* importance, uint64_t n, std::byte* out) {
  encode_grid_row(kIq2XsFormat, row, importance, n, out);
}
void encode_iq2_s(const float* row, const float* importance, uint64_t n, std::byte* out) {
  encode_grid_row(kIq2SFormat, row, importance, n, out);
}

}  // namespace assay
