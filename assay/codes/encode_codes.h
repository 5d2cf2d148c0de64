// Encodes a matrix into a ggml type with codes (and scales) chosen for what they do to the layer's output: the error of a row is
// e H e^T, e = w - w~, H the second moments of the layer's input (methods.md 4.5). The file format does not change.
// Scales start from the importance-weighted search of quant/. Deterministic; a row's bytes depend on that row only.
// Non-goals: collecting H.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "assay/base/result.h"
#include "assay/codes/codes.h"
#include "assay/codes/second_moment.h"
#include "assay/file/gguf.h"

namespace assay {

// True where codes can be chosen: formats with a code per weight (quant/scale_layout.h) or octet (quant/grid_codes.h) that can be encoded.
bool can_choose_codes(GgmlType type);

// weight: [rows, k] float32 CPU; out: the rows' bytes. `rows_at_once` bounds memory: about 20 bytes per weight of so many rows.
Result<CodesReport> encode_codes(GgmlType type, const at::Tensor& weight, const SecondMoment& moment, Codes codes, int threads,
                                 std::span<std::byte> out, int64_t rows_at_once = 4096);

}  // namespace assay
