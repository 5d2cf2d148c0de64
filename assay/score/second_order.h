// Second order of the loss along a quantization step d, exact but for rounding: 1/2 d H d, and each matrix's row of it, 1/2 d_m (H d)_m,
// by central differences of gradients along d (methods.md 3.4, 3.5). Rows hold the products with all other matrices; they add up to the
// whole. A block of the Hessian alone comes from a path on which only those matrices change.
// Why not a second backward: it keeps the graph of a whole forward and backward, while a difference of gradients goes block by block with
// one block's gradients in memory, and its error is seen: differences at h and 2 h are extrapolated, and what they disagree by is told.
// Cost: four gradients, and a fifth at w where the first order is asked for. Non-goals: traces, eigenvalues.
#pragma once

#include <string>
#include <vector>

#include "assay/score/path_gradients.h"

namespace assay {

struct SecondOrderOptions {
  // h: differences at +-h and +-2 h, as parts of the whole step d. Truncation falls with h^2 (h^4 after extrapolation), rounding grows with
  // 1 / h. 1/16 keeps both below 0.05 % of the term from Q2_K to Q8_0 on the demo model.
  double step = 1.0 / 16;
  // The gradient at w, if it is known already: its first point is at t = 0, its matrices hold this path's, with the same changes and
  // windows. One gradient less; null: it is computed.
  const PathGradients* start = nullptr;
};

// nats per token.
struct SecondOrderTerm {
  double first = 0;   // d . g; 0 without the gradient at w
  double second = 0;  // 1/2 d . H d, extrapolated
  double error = 0;   // of `second`: what extrapolation changed, and float32's rounding of the gradients
};
struct SecondOrderRow {
  std::string tensor;
  int layer = 0;
  SecondOrderTerm term;
};
struct SecondOrder {
  std::vector<SecondOrderRow> matrices;  // file order
  SecondOrderTerm total;                 // its error is of the whole, not the sum of the rows'
  PathGradients path;                    // t = 0, h, -h, 2 h, -2 h
};

// From the points t = h, -h, 2 h, -2 h of a path, and 0 for the first order. kUsage: one of the four is not there.
Result<SecondOrder> second_order_of(PathGradients path, double step);

// Errors: kUsage (step, a start without a matrix of the path), those of the path.
Result<SecondOrder> second_order(const QuantizationPath& path, const SecondOrderOptions& options = {},
                                 Progress& progress = silent_progress());

}  // namespace assay
