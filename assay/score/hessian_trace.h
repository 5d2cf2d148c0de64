// Hutchinson's estimate of the trace of each matrix's block of the Hessian of the loss (methods.md 3.7):
//   E v_m . (H v)_m = Tr H_mm   for v of independent signs, over all matrices at once: products of two matrices vanish in expectation.
// H v is a central difference of gradients at w + u and w - u, where u moves every weight of matrix m by +-step_m.
// Step: a fixed part of the matrix's root mean square, because norms take the weights' size away and curvature goes with its inverse
// square. What still bends the loss most, an embedding above all, drowns the others in its products with them: it takes a shorter step once
// its trace is roughly known (balanced_steps). Non-goals: eigenvalues.
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
  // Of the root mean square of each matrix. At 1/256 truncation and float32's rounding each change the products of a draw by 0.04 % (root
  // mean square, demo model), at 1/32 by 0.75 %, at 1/8192 by 0.2 %, against several times themselves between draws: no extrapolation.
  double step = 1.0 / 256;
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

// `steps` with those shortened whose curvature step^2 |trace| is above the median's, to the median's, at most 32 times.
// traces: rough, in the order of `matrices`.
std::map<std::string, double> balanced_steps(const HessianTrace& trace, std::map<std::string, double> steps,
                                             std::span<const double> traces);

// One draw: v_m . (H v)_m of each matrix in `matrices`, nats per token per squared unit of weight. Two gradients of all windows.
// Errors: kUsage (step), those of loading and of the pass.
Result<std::vector<double>> trace_draw(const HessianTrace& trace, const std::map<std::string, double>& steps, uint64_t draw,
                                       const Progress& progress = silent_progress());

}  // namespace assay
