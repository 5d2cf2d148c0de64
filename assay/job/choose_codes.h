// What is said of codes chosen under second moments. Torch-free.
#pragma once

#include <string>

#include "assay/file/gguf.h"

namespace assay {

// One tensor: sums over its rows of e H e^T with nearest codes, after feedback, in the end.
struct CodesSummary {
  GgmlType type = GgmlType::kF16;
  double nearest = 0, feedback = 0, chosen = 0;
};

}  // namespace assay
