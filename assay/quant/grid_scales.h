// Scales of super-blocks of the grid types, and rows of them encoded with the nearest codes. The format (grid_codes.h) brings the search of
// its grid; everything here is the same for all of them. Objective: sum of importance * (w - decoded)^2, exactly. Internal to quant/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "assay/quant/grid_codes.h"

namespace assay {

// The scale of weights run * format.run .. of a block.
inline float run_scale(const GridFormat& format, const GridBlock& block, int run) {
  return block.d * format.unit * static_cast<float>(2 * block.levels[run] + 1);
}

// Scales and best codes of consecutive super-blocks at `row`. importance: of the same columns, or nullptr for ones. A super-block's
// result does not depend on its neighbours.
void fit_grid_blocks(const GridFormat& format, const float* row, const float* importance, std::span<GridBlock> blocks);

// fit_grid_blocks and pack, over a row of n weights.
void encode_grid_row(const GridFormat& format, const float* row, const float* importance, uint64_t n, std::byte* out);

}  // namespace assay
