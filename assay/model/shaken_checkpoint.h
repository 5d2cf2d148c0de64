// A model whose matrices are moved by a step of their own to random sides: W + step v, every v +-1 with even odds (Rademacher). v is a
// function of seed, draw, the tensor's place in the file and the weight's place in the tensor. Torch-free.
// Non-goals: what such a step does to the model (score/hessian_trace.h).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "assay/model/checkpoint.h"

namespace assay {

struct Shake {
  uint64_t seed = 0, draw = 0;
  std::map<std::string, double> steps;  // by tensor; those not named stay as they are
};

// side: the steps' factor, +1 or -1 for the two sides of one draw. threads: of decoding; 0: all.
// Errors: a tensor that `base` lacks (kMismatch).
Result<std::shared_ptr<const Checkpoint>> shaken_checkpoint(const std::shared_ptr<const Checkpoint>& base, const Shake& shake, double side,
                                                            int threads = 0);

// v of a tensor, +-1, in its rows' order. The tensor is in `base`.
std::vector<float> random_signs(const Checkpoint& base, const std::string& tensor, const Shake& shake, int threads = 0);

}  // namespace assay
