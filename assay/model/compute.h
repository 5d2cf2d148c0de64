// The compute mode of a run. Torch-free, so that options can name it.
#pragma once

#include <string_view>

#include "assay/base/result.h"

namespace assay {

enum class Compute {
  kFloat32,   // everything in float32
  kBFloat16,  // operands of matrix products rounded to bfloat16; sums, residual stream, norms, softmax and head reduction float32
};

std::string_view name_of(Compute compute);                 // "float32", "bf16"
Result<Compute> compute_from_name(std::string_view name);  // kUsage names the choices

}  // namespace assay
