// How an AWQ search goes. Torch-free.
#pragma once

#include <cstdint>
#include <string>

#include "assay/quant/group_rounding.h"

namespace assay {

enum class AwqLoss : uint8_t {
  kLinears,  // squared errors of the outputs of all matrices that read the vector
  kModule,   // of the attention's or MLP's output, as the published program has it
};

struct AwqOptions {
  GroupGrid grid;  // of the clips, and of the losses unless the rounder is another
  AwqLoss loss = AwqLoss::kLinears;
  bool clip = true;               // also search clips: for results on the grid
  bool lite = false;              // the source's formula of scales (scales_at)
  int steps = 20;                 // alpha in steps of 1/20
  uint64_t module_tokens = 4096;  // kModule: the first windows of so many tokens
  int threads = 0;                // 0: all

  // What a result depends on, for keys.
  std::string describe() const;
};

}  // namespace assay
