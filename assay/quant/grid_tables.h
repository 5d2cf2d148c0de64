// Codebook grids of the IQ formats: points of 8 (or 4) magnitudes; IQ1 points are -1, 0, 1 (methods.md 4.2.4).
// The data is made by scripts/make_grid_tables.py.
#pragma once

#include <cstdint>

namespace assay {

extern const int8_t kIq2XxsGrid[256][8];
extern const int8_t kIq2XsGrid[512][8];
extern const int8_t kIq2SGrid[1024][8];
extern const int8_t kIq3XxsGrid[256][4];
extern const int8_t kIq3SGrid[512][4];
extern const int8_t kIq1SGrid[2048][8];

}  // namespace assay
