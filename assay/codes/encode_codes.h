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

// weight: [rows, k] float32 CPU; out: the rows' bytes. A thread works on `rows_at_once` rows at a time, 17 bytes per weight; kBest sweeps
// over them until their error stops falling. 0: 64 rows, and 256 where the moments are too large for a cache.
Result<CodesReport> encode_codes(GgmlType type, const at::Tensor& weight, const SecondMoment& moment, Codes codes, int threads,
                                 std::span<std::byte> out, int64_t rows_at_once = 0);

}  // namespace assay
