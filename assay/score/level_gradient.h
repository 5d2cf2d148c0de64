// What one gradient says of moving every stored code of a matrix by one level: |g . step|, the mean of the moves up and down that exist
// (methods.md 2.2, 3.1: Q-PSA in one pass in place of one run per weight). Torch-free. Non-goals: the gradient (probe/gradient_pass.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "assay/base/result.h"
#include "assay/file/gguf.h"

namespace assay {

struct LevelGradient {
  double sum = 0;        // over weights that can move, of |g| times the mean |step|
  uint64_t weights = 0;  // that can move: not those at both ends of their range, nor under a scale of 0
  double mean() const { return weights > 0 ? sum / static_cast<double>(weights) : 0; }
};

// bytes: the matrix as stored; gradient: laid out as its weights. Errors: kUnsupported (a type without codes), kInternal (broken blocks).
Result<LevelGradient> level_gradient(GgmlType type, std::span<const std::byte> bytes, std::span<const float> gradient);

// What scores of codes say of a model where no matrix has any.
inline constexpr std::string_view kNoCodes =
    "no matrix of this model has codes: quantize it first (assay quantize MODEL --type Q4_K_M -o FILE) and score that file";

}  // namespace assay
