// The inner loops of choosing codes under second moments: one block of columns, sixteen rows side by side, one per lane.
// A row's result depends on that row only. Torch-free, thread-safe; equal bytes on every CPU capability.
// Words: x weights, v decoded values, e = x - v; H second moments of the inputs; g = e H of the block's columns, the descent direction.
// Non-goals: reading and writing of formats (row_codes.h), which blocks and rows are worked on when (encode_codes.h).
#pragma once

#include <cstdint>

#include "assay/quant/scale_layout.h"

namespace assay::codes {

inline constexpr int kRows = 16;      // lanes
inline constexpr int kColumns = 256;  // most columns of a block; all have a multiple of kPanel
// Between rows of a tile of second moments: off a power of two, so that a panel of columns does not fall into a few sets of the cache.
inline constexpr int kStride = kColumns + 16;
inline constexpr int kPanel = 16;  // columns of a block that a product makes at once

// One block of columns of sixteen rows; [column][row] and [group][row].
struct Strip {
  alignas(64) float x[kColumns][kRows];
  alignas(64) float v[kColumns][kRows];
  alignas(64) float g[kColumns][kRows];  // feedback: what later columns carry over to this one
  alignas(64) float code[kColumns][kRows];
  alignas(64) float scale[kMaxGroups][kRows];  // as stored: whole numbers in most formats
  alignas(64) float minimum[kMaxGroups][kRows];
  alignas(64) float unit[kMaxGroups][kRows], min_unit[kMaxGroups][kRows];  // of the group's format block
  alignas(64) float error[kRows];                                          // feedback: sum of D r^2; descent: how much the error fell
};

// The block's part of the second moments, H = L diag(D) L^T with L unit lower triangular; all row-major with kStride between rows.
struct Moments {
  int columns = 0;
  const float* h = nullptr;
  const float* lower = nullptr;
  const float* diagonal = nullptr;  // D
};

// Error feedback from the last column to the first (LDLQ): every column takes the code nearest to x + g, and passes its error on.
void feedback(const ScaleLayout& layout, const Moments& moments, Strip& strip);
// The same sum of D r^2 for codes that are given.
void feedback_error(const Moments& moments, Strip& strip);
// One sweep of coordinate descent over the codes; scales stay.
void descend_codes(const ScaleLayout& layout, const Moments& moments, Strip& strip);
// Every group's scale and minimum, then units, each at its best with all else fixed; codes stay.
void descend_scales(const ScaleLayout& layout, const Moments& moments, Strip& strip);
// g of `to` += e of `from` times a tile of H or L, row-major with kStride between rows: its rows are the columns of `from`.
void carry(const float* tile, const Strip& from, int from_columns, Strip& to, int to_columns);
// v from codes and scales.
void decode(const ScaleLayout& layout, int columns, Strip& strip);

}  // namespace assay::codes
