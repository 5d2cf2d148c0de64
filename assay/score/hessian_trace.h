// Hutchinson's estimate of the trace of each matrix's block of the Hessian of the loss (methods.md 3.7):
//   E v_m . (H v)_m = Tr H_mm   for v of independent signs, over all matrices at once: products of two matrices vanish in expectation.
// H v is a central difference of gradients at w + u and w - u, where u moves every weight of matrix m by +-step_m.
// Step: a fixed part of the matrix's root mean square. Norms take the weights' size away, so curvature goes with its inverse square: equal
// relative steps make every matrix's effect alike, and no matrix drowns another's estimate in its products. Non-goals: eigenvalues.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "assay/model/network.h"
#include "assay/probe/gradient_pass.h"

namespace assay {

struct TraceOptions {
  uint64_t seed = 0;
  // Of the root mean square of each matrix. Between 1/512 and 1/32 a draw's sum of traces changes by less than 0.3 % on the demo model,
  // against a spread of some 10 % between draws: no extrapolation is needed.
  double step = 1.0 / 128;
};

struct HessianTrace {
  std::shared_ptr<const Checkpoint> base;
  std::vector<std::string> matrices;
  std::span<const Window> windows;
  NetworkOptions network = {};  // compute: float32
  GradientPassOptions pass = {};
  TraceOptions options = {};
};

// The step of each matrix; one of zeros gets that of a root mean square of 1.
Result<std::map<std::string, double>> shake_steps(const HessianTrace& trace);

// One draw: v_m . (H v)_m of each matrix in `matrices`, nats per token per squared unit of weight. Two gradients of all windows.
// Errors: kUsage (step), those of loading and of the pass.
Result<std::vector<double>> trace_draw(const HessianTrace& trace, const std::map<std::string, double>& steps, uint64_t draw,
                                       const Progress& progress = silent_progress());

}  // namespace assay
