#include "assay/quant/iq3_encode.h"

#include <algorithm>

#include "assay/quant/grid_index.h"
#include "assay/quant/grid_scales.h"
#include "assay/quant/grid_search.h"
#include "assay/quant/grid_tables.h"
#include "assay/quant/half.h"

namespace assay {
namespace {

struct Iq3Xxs {
  static constexpr int kWidth = 4;
  static constexpr float kValues[] = {4, 12, 20, 28, 36, 44, 52, 62};
  static constexpr bool kParity = true, kShifted = false;
  static const int8_t* grid() { return kIq3XxsGrid[0]; }
  static const GridIndex& index() {
    static const GridIndex made = index_grid(grid(), 256, kWidth, kValues);
    return made;
  }
};

struct Iq3S {
  static constexpr int kWidth = 4;
  static constexpr float kValues[] = {1, 3, 5, 7, 9, 11, 13, 15};
  static constexpr bool kParity = false, kShifted = false;
  static const int8_t* grid() { return kIq3SGrid[0]; }
  static const GridIndex& index() {
    static const GridIndex made = index_grid(grid(), 512, kWidth, kValues);
    return made;
  }
};

ASSAY_GRID_KERNELS(iq3_xxs, Iq3Xxs)
ASSAY_GRID_ERRORS(iq3_xxs, Iq3Xxs)
ASSAY_GRID_KERNELS(iq3_s, Iq3S)
ASSAY_GRID_ERRORS(iq3_s, Iq3S)

void pack_iq3_xxs(const GridBlock& block, std::byte* out) {
  store_u16(out, float_to_half(block.d));
  for (int run = 0; run < 8; ++run) {
    uint32_t packed = static_cast<uint32_t>(block.levels[run]) << 28;
    for (int l = 0; l < 4; ++l) {
      const OctetCode& code = block.codes[4 * run + l];
      for (int p = 0; p < 2; ++p) out[2 + 8 * run + 2 * l + p] = static_cast<std::byte>(code.point[p]);
      packed |= (code.signs & 127u) << (7 * l);
    }
    store_u32(out + 66 + 4 * run, packed);
  }
}

void pack_iq3_s(const GridBlock& block, std::byte* out) {
  store_u16(out, float_to_half(block.d));
  std::fill_n(out + 66, 8, std::byte{});
  for (int n = 0; n < 32; ++n) {
    const OctetCode& code = block.codes[n];
    for (int p = 0; p < 2; ++p) {
      out[2 + 2 * n + p] = static_cast<std::byte>(code.point[p]);
      out[66 + n / 4] |= static_cast<std::byte>((code.point[p] >> 8) << (2 * (n % 4) + p));
    }
    out[74 + n] = static_cast<std::byte>(code.signs);
  }
  for (int i = 0; i < 4; ++i) out[106 + i] = static_cast<std::byte>(block.levels[2 * i] | block.levels[2 * i + 1] << 4);
}

void unpack_iq3_xxs(const std::byte* bytes, GridBlock& block) {
  block.d = load_half(bytes);
  for (int run = 0; run < 8; ++run) {
    const uint32_t packed = load_u32(bytes + 66 + 4 * run);
    block.levels[run] = static_cast<uint8_t>(packed >> 28);
    for (int l = 0; l < 4; ++l) {
      OctetCode& code = block.codes[4 * run + l];
      for (int p = 0; p < 2; ++p) code.point[p] = static_cast<uint16_t>(load_u8(bytes + 2 + 8 * run + 2 * l + p));
      code.signs = static_cast<uint8_t>(even_signs((packed >> (7 * l)) & 127u));
    }
  }
}

void unpack_iq3_s(const std::byte* bytes, GridBlock& block) {
  block.d = load_half(bytes);
  for (int n = 0; n < 32; ++n) {
    OctetCode& code = block.codes[n];
    for (int p = 0; p < 2; ++p) {
      const unsigned high = (load_u8(bytes + 66 + n / 4) >> (2 * (n % 4) + p)) & 1u;
      code.point[p] = static_cast<uint16_t>(load_u8(bytes + 2 + 2 * n + p) | high << 8);
    }
    code.signs = static_cast<uint8_t>(load_u8(bytes + 74 + n));
  }
  for (int i = 0; i < 8; ++i) block.levels[i] = static_cast<uint8_t>((load_u8(bytes + 106 + i / 2) >> (4 * (i % 2))) & 15u);
}

}  // namespace

const GridFormat kIq3XxsFormat = {.type = GgmlType::kIQ3_XXS,
                                  .run = 32,
                                  .top = 15,
                                  .unit = 0.25f,
                                  .least = 4,
                                  .mean = 24,
                                  .most = 62,
                                  .shifts = Shifts::kNone,
                                  .parity = true,
                                  .refits = 2,
                                  .near_steps = 9,
                                  .loose_errors = iq3_xxs_loose,
                                  .errors = iq3_xxs_errors,
                                  .choose = iq3_xxs_choose,
                                  .pack = pack_iq3_xxs,
                                  .unpack = unpack_iq3_xxs};
const GridFormat kIq3SFormat = {.type = GgmlType::kIQ3_S,
                                .run = 32,
                                .top = 15,
                                .unit = 1,
                                .least = 1,
                                .mean = 6,
                                .most = 15,
                                .shifts = Shifts::kNone,
                                .refits = 2,
                                .near_steps = 5,
                                .loose_errors = iq3_s_loose,
                                .errors = iq3_s_errors,
                                .choose = iq3_s_choose,
                                .pack = pack_iq3_s,
                                .unpack = unpack_iq3_s};

void encode_iq3_xxs(const float* row, const float* importance, uint64_t n, std::byte* out) {
  encode_grid_row(kIq3XxsFormat, row, importance, n, out);
}
void encode_iq3_s(const float* row, const float* importance, uint64_t n, std::byte* out) {
  encode_grid_row(kIq3SFormat, row, importance, n, out);
}

}  // namespace assay
