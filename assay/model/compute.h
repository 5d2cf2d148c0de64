// The compute mode of a run. Torch-free, so that options can name it.
#pragma once

#include <string_view>

#include "assay/base/result.h"

namespace assay {

enum class Compute {
  kFloat32,     // everything in float32
  kBFloat16,    // operands of matrix products rounded to bfloat16; sums, residual stream, norms, softmax and head reduction float32
  kDeviations,  // the unedited model in float32; an edited one's products are the unedited one's plus bfloat16 products of the distance
};

std::string_view name_of(Compute compute);                 // "float32", "bf16", "deviations"
Result<Compute> compute_from_name(std::string_view name);  // kUsage names the choices
// How the change of a matrix is multiplied in this mode: float32 or bf16, whose error is then relative to the change's own effect.
Compute compute_of_changes(Compute compute);

}  // namespace assay
