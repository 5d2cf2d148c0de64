// Sums over a matrix on several threads that do not depend on how many: blocks of a fixed number of weights, merged in order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "assay/base/parallel.h"
#include "assay/score/score_run.h"

namespace assay {

struct Total {
  double value = 0;
  void merge(const Total& other) { value += other.value; }
};

// Calls body(lane, value) for all values, lanes taking turns: sums kept by lane do not wait for each other. Their order is fixed.
constexpr size_t kLanes = 8;
template <class Body>
void by_lanes(std::span<const float> values, const Body& body) {
  const size_t whole = values.size() / kLanes * kLanes;
  for (size_t first = 0; first < whole; first += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane) body(lane, values[first + lane]);
  for (size_t i = whole; i < values.size(); ++i) body(i - whole, values[i]);
}

// `add(sum, values)` takes some consecutive weights into a `Sum`, which has merge(const Sum&).
template <class Sum, class Add>
Sum fold_values(std::span<const float> values, int threads, const Sum& empty, const Add& add) {
  constexpr size_t kBlock = size_t{1} << 16;
  const size_t blocks = (values.size() + kBlock - 1) / kBlock;
  std::vector<Sum> parts(blocks, empty);
  parallel_for(blocks, threads, [&](size_t b) { add(parts[b], values.subspan(b * kBlock, std::min(kBlock, values.size() - b * kBlock))); });
  Sum all = empty;
  for (const Sum& part : parts) all.merge(part);
  return all;
}

// The same by rows: add(sum, row number).
template <class Sum, class Add>
Sum fold_rows(const MatrixView& matrix, int threads, const Sum& empty, const Add& add) {
  const uint64_t per_block = std::max<uint64_t>(1, (uint64_t{1} << 16) / std::max<uint64_t>(1, matrix.columns));
  const uint64_t blocks = (matrix.rows + per_block - 1) / per_block;
  std::vector<Sum> parts(blocks, empty);
  parallel_for(blocks, threads, [&](size_t b) {
    for (uint64_t r = b * per_block; r < std::min(matrix.rows, (b + 1) * per_block); ++r) add(parts[b], r);
  });
  Sum all = empty;
  for (const Sum& part : parts) all.merge(part);
  return all;
}

}  // namespace assay
