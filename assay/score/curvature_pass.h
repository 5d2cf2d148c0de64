// What one pass over a group of windows carries while the curvature table is made. Internal to score/ (curvature_torch.cpp).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "assay/score/curvature_parts.h"
#include "assay/score/token_sample.h"
#include "assay/text/windows.h"

namespace assay {

// A row of a float32 matrix on the CPU.
inline std::span<float> row_of(at::Tensor& matrix, int64_t row) {
  return {matrix.mutable_data_ptr<float>() + row * matrix.size(1), static_cast<size_t>(matrix.size(1))};
}
inline std::span<const float> row_of(const at::Tensor& matrix, int64_t row) {
  return {matrix.const_data_ptr<float>() + row * matrix.size(1), static_cast<size_t>(matrix.size(1))};
}

// One group of windows and draw of residuals.
struct Pass {
  size_t begin = 0, count = 0;  // windows
  uint32_t sample = 0;
  std::span<const Window> windows;
  std::vector<TokenSample> drawn;               // per window; every token in the segment and window forms
  std::map<std::string, CurvatureParts> found;  // units that were finished before, by name
};

// A window's head: its rows, their residuals' sum.
struct HeadWindow {
  at::Tensor normed;    // [scored, d]
  at::Tensor residual;  // [vocab], summed over the scored rows
};

// The head's rows that enter its products: some of a window's drawn tokens.
struct HeadRows {
  std::vector<size_t> places;  // among the drawn tokens
  double factor = 1;           // what thinning them costs in weight
  at::Tensor x, p, r;          // inputs (and their mean over the scored rows, last), probabilities, residuals
};

}  // namespace assay
