// A grid's points ordered for an exact search: by the second half of the point, so that a search adds the costs of two halves, and the
// cost of each half is computed once per pattern of that half. Internal to quant/.
#pragma once

#include <cstdint>
#include <span>

namespace assay {

struct GridIndex {
  static constexpr int kStride = 4;  // a bucket's last point is repeated until their number is a multiple of this
  static constexpr int kMostPatterns = 81, kMostPoints = 2048 + (kStride - 1) * kMostPatterns;
  // Buckets of points with the same second half. A pattern is a number whose digits are levels, the first weight's the lowest.
  int buckets = 0;
  uint8_t high[kMostPatterns][2] = {};  // pattern of the second half: its first and last weights (one or two each)
  uint16_t end[kMostPatterns] = {};     // of the bucket's points below; a bucket begins where the one before ends
  uint8_t low[kMostPoints] = {};        // pattern of the first half
  uint16_t point[kMostPoints] = {};     // its place in the grid
};

// `grid`: points of `width` values, all among `values` (ascending). Short buckets first, so that loops over them are easy to predict.
GridIndex index_grid(const int8_t* grid, int points, int width, std::span<const float> values);

}  // namespace assay
