#include "assay/quant/iq1_encode.h"

#include <algorithm>

#include "assay/quant/grid_index.h"
#include "assay/quant/grid_scales.h"
#include "assay/quant/grid_search.h"
#include "assay/quant/grid_tables.h"
#include "assay/quant/half.h"

namespace assay {
namespace {

struct Iq1 {
  static constexpr int kWidth = 8;
  static constexpr float kValues[] = {-1, 0, 1};
  static constexpr bool kParity = false, kShifted = true;
  static const int8_t* grid() { return kIq1SGrid[0]; }
  static const GridIndex& index() {
    static const GridIndex made = index_grid(grid(), 2048, kWidth, kValues);
    return made;
  }
};

ASSAY_GRID_KERNELS(iq1, Iq1)

void pack_iq1_s(const GridBlock& block, std::byte* out) {
  store_u16(out, float_to_half(block.d));
  for (int run = 0; run < 8; ++run) {
    const OctetCode* codes = block.codes + 4 * run;
    unsigned packed = static_cast<unsigned>(block.levels[run]) << 12 | (codes[0].lowered ? 0x8000u : 0u);
    for (int l = 0; l < 4; ++l) {
      out[2 + 4 * run + l] = static_cast<std::byte>(codes[l].point[0]);
      packed |= static_cast<unsigned>(codes[l].point[0] >> 8) << (3 * l);
    }
    store_u16(out + 34 + 2 * run, static_cast<uint16_t>(packed));
  }
}

// d is spread over the top four bits of the four words of scales.
void pack_iq1_m(const GridBlock& block, std::byte* out) {
  const unsigned half = float_to_half(block.d);
  for (int n = 0; n < 32; n += 2) {
    unsigned nibbles = 0;
    for (int i = 0; i < 2; ++i) {
      const OctetCode& code = block.codes[n + i];
      out[n + i] = static_cast<std::byte>(code.point[0]);
      nibbles |= (static_cast<unsigned>(code.point[0] >> 8) | (code.lowered ? 8u : 0u)) << (4 * i);
    }
    out[32 + n / 2] = static_cast<std::byte>(nibbles);
  }
  for (int i = 0; i < 4; ++i) {
    unsigned word = ((half >> (4 * i)) & 15u) << 12;
    for (int m = 0; m < 4; ++m) word |= static_cast<unsigned>(block.levels[4 * i + m]) << (3 * m);
    store_u16(out + 48 + 2 * i, static_cast<uint16_t>(word));
  }
}

void unpack_iq1_s(const std::byte* bytes, GridBlock& block) {
  block.d = load_half(bytes);
  for (int run = 0; run < 8; ++run) {
    const unsigned packed = load_u16(bytes + 34 + 2 * run);
    block.levels[run] = static_cast<uint8_t>((packed >> 12) & 7u);
    for (int l = 0; l < 4; ++l) {
      const unsigned point = load_u8(bytes + 2 + 4 * run + l) | ((packed >> (3 * l)) & 7u) << 8;
      block.codes[4 * run + l] = {.point = {static_cast<uint16_t>(point)}, .lowered = (packed & 0x8000u) != 0};
    }
  }
}

void unpack_iq1_m(const std::byte* bytes, GridBlock& block) {
  unsigned half = 0;
  for (int i = 0; i < 4; ++i) {
    const unsigned word = load_u16(bytes + 48 + 2 * i);
    half |= (word >> 12) << (4 * i);
    for (int m = 0; m < 4; ++m) block.levels[4 * i + m] = static_cast<uint8_t>((word >> (3 * m)) & 7u);
  }
  block.d = half_to_float(static_cast<uint16_t>(half));
  for (int n = 0; n < 32; ++n) {
    const unsigned nibble = (load_u8(bytes + 32 + n / 2) >> (4 * (n % 2))) & 15u;
    block.codes[n] = {.point = {static_cast<uint16_t>(load_u8(bytes + n) | (nibble & 7u) << 8)}, .lowered = (nibble & 8u) != 0};
  }
}

}  // namespace

const GridFormat kIq1SFormat = {.type = GgmlType::kIQ1_S,
                                .run = 32,
                                .top = 7,
                                .unit = 1,
                                .least = 0.875f,
                                .mean = 0.75f,
                                .most = 1.125f,
                                .shifts = Shifts::kPerRun,
                                .refits = 1,
                                .near_steps = 0,
                                .loose_errors = iq1_loose,
                                .errors = nullptr,
                                .choose = iq1_choose,
                                .pack = pack_iq1_s,
                                .unpack = unpack_iq1_s};
const GridFormat kIq1MFormat = {.type = GgmlType::kIQ1_M,
                                .run = 16,
                                .top = 7,
                                .unit = 1,
                                .least = 0.875f,
                                .mean = 0.75f,
                                .most = 1.125f,
                                .shifts = Shifts::kPerOctet,
                                .refits = 0,
                                .near_steps = 0,
                                .loose_errors = iq1_loose,
                                .errors = nullptr,
                                .choose = iq1_choose,
                                .pack = pack_iq1_m,
                                .unpack = unpack_iq1_m};

void encode_iq1_s(const float* row, const float* importance, uint64_t n, std::byte* out) {
  encode_grid_row(kIq1SFormat, row, importance, n, out);
}
void encode_iq1_m(const float* row, const float* importance, uint64_t n, std::byte* out) {
  encode_grid_row(kIq1MFormat, row, importance, n, out);
}

}  // namespace assay
