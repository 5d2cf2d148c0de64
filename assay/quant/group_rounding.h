// Round-to-nearest on an even grid per group of weights, as AWQ and the weight-outlier harness do it (methods.md 4.1). Not a ggml type.
// float32, halves to even. Torch-free, thread-safe.
#pragma once

#include <cstddef>
#include <span>

namespace assay {

// In place, `group` weights at a time (the last group of a row may be shorter), to 2^bits levels from the group's lowest to its highest
// weight, which need not lie on both sides of 0: where they do not, the zero point is clamped and the far end is cut off, as published.
// A group of equal weights: scale 1. bits in [2, 8].
void round_asymmetric(std::span<float> row, size_t group, int bits);

// The same to the odd number of levels -(2^(bits-1) - 1) .. 2^(bits-1) - 1 around 0, the largest |w| on the last one. A group of zeros
// stays.
void round_symmetric(std::span<float> row, size_t group, int bits);

// One of the two, as data. group in weights; AWQ's usual one.
struct GroupGrid {
  int bits = 4;
  size_t group = 128;
  bool zero_point = true;  // round_asymmetric
};
void round_to_grid(std::span<float> row, const GroupGrid& grid);

}  // namespace assay
