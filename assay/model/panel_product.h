// The product y = x W^T over weights packed in panels of 64 outputs: our own kernels for CPUs with AVX-512 (float32) and AVX512-BF16
// (bfloat16 operands, float32 sums). Rule of rows by construction: an element of y sums its products in the order of the inputs,
// whatever the other rows, their number or the threads. Torch-free, thread-safe; callers spread panels and row blocks over threads.
// Layout of a panel: for each step (one input in float32, two in bfloat16) 64 outputs side by side; missing outputs are 0.
// Non-goals: other CPUs (supported() says no; model/matrix.h has other products), matrix units (AMX).
#pragma once

#include <cstddef>
#include <cstdint>

namespace assay::panel {

inline constexpr int64_t kOutputs = 64;  // outputs of a panel
inline constexpr int64_t kRows = 192;    // rows of x worth one task

inline int64_t panels(int64_t out) { return (out + kOutputs - 1) / kOutputs; }

// The CPU has the instructions.
bool float32_supported();
bool bf16_supported();
// It also multiplies bfloat16 tiles in matrix units (AMX), which this file does not use.
bool has_matrix_units();

// One panel from `outputs` <= 64 rows of a weight matrix [.., in], `stride` floats between rows (0: in); `to` holds 64 * in elements.
void pack_float32(const float* weight, int64_t in, int64_t outputs, float* to, int64_t stride = 0);
// The same without gaps, rounded to nearest, ties to even; subnormal values become 0. `in` is even.
void pack_bf16(const float* weight, int64_t in, int64_t outputs, uint16_t* to);
// Rounds n values like pack_bf16.
void round_bf16(const float* from, int64_t n, uint16_t* to);
// The same for from - base, the difference taken in float32.
void round_difference_bf16(const float* from, const float* base, int64_t n, uint16_t* to);

struct Rows {
  int64_t count = 0;
  int64_t in = 0;
  int64_t stride = 0;             // of y, in elements
  const float* addend = nullptr;  // y = addend + x W^T, the finished sum is added once; may be y itself
  int64_t addend_stride = 0;
  bool streamed = false;  // y goes past the caches: for results larger than they are. Needs y and stride in multiples of 64 bytes
  int64_t x_stride = 0;   // between rows of x, in elements; 0: in
};
// x: [count, in]; y: `outputs` <= 64 columns of each row are written.
void multiply_float32(const Rows& rows, const float* x, const float* panel, int64_t outputs, float* y);
void multiply_bf16(const Rows& rows, const uint16_t* x, const uint16_t* panel, int64_t outputs, float* y);

// For backward, y = x W with W [in, ..] as it lies in memory, w_stride between its rows: `outputs` <= 64 of its columns from w on.
void multiply_stored(const Rows& rows, const float* x, const float* w, int64_t w_stride, int64_t outputs, float* y);
// The same with x turned, [in, count]: x_stride lies between inputs, the rows side by side.
void multiply_turned(const Rows& rows, const float* x, const float* w, int64_t w_stride, int64_t outputs, float* y);

// Calls body(first row, rows, row of the block) for runs of rows [begin, end) that do not cross from one block of block_rows to the next.
template <class Body>
void for_each_repeat(int64_t begin, int64_t end, int64_t block_rows, const Body& body) {
  while (begin < end) {
    const int64_t row = begin % block_rows, left = block_rows - row, count = end - begin < left ? end - begin : left;
    body(begin, count, row);
    begin += count;
  }
}

}  // namespace assay::panel
