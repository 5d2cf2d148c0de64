// Cosine and sine tables of rotary position embeddings with linear, yarn and per-frequency scaling. Torch-free.
// Sources: methods as in transformers' modeling_rope_utils (yarn: arXiv 2309.00071).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "assay/model/architecture.h"

namespace assay {

struct RopeAngles {
  std::vector<double> frequency;  // radians per position, [rope_dims / 2]
  double magnitude = 1;           // multiplies cos and sin
};

// `factors`: the content of rope_freqs.weight (divisors), or empty.
RopeAngles rope_angles(const Hyper& hyper, std::span<const float> factors);

}  // namespace assay
