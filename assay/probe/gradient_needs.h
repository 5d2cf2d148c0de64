// What one asks of a gradient pass (gradient_pass.h), apart from it so that scores can say so without libtorch.
#pragma once

#include <cstdint>

namespace assay {

// What the loss takes as the next token: the text's, or one drawn from the model's own prediction, keyed by (seed, window, position).
enum class GradientLabels : uint8_t { kText, kDrawn };

// What a reader wants of a matrix. Nothing: the matrix is passed over.
struct GradientNeeds {
  bool mean = false;     // the gradient of the loss, [out, in]
  bool squares = false;  // the sum over windows of each window's squared gradient, [out, in]: the Fisher diagonal at sequence level
  bool windows = false;  // every window's own gradient, one at a time
  bool rows = false;     // inputs and output gradients of all windows, of matrices in blocks; kept until the block is done
  bool any() const { return mean || squares || windows || rows; }
  GradientNeeds operator|(const GradientNeeds& other) const {
    return {mean || other.mean, squares || other.squares, windows || other.windows, rows || other.rows};
  }
};

}  // namespace assay
