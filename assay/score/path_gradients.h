// The loss and its gradient along the straight path w + t d, d = w~ - w, from a model to a quantization of it: at every t asked for, each
// matrix's derivative d . g in numbers, and its gradient to whoever wants it. PQI and the second order along d are sums of these.
// The model at t is loaded anew (model/interpolated_checkpoint.h). Memory: that model, beside it d of the block at hand.
// Same windows at every t. Non-goals: what the numbers mean (pqi.h, second_order.h).
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "assay/model/interpolated_checkpoint.h"
#include "assay/probe/gradient_pass.h"

namespace assay {

struct QuantizationPath {
  std::shared_ptr<const Checkpoint> base;
  std::shared_ptr<const StoredMatrices> far;  // those not named stay as they are
  std::span<const Window> windows;
  NetworkOptions network = {};  // compute: float32, or losses and gradients are not of one model
  GradientPassOptions pass = {};
};

// A matrix at one t; nats per token per unit of t.
struct PathDots {
  double total = 0;               // d . g: the mean of `windows`
  double absolute = 0;            // sum over weights of |d_i g_i|
  double absolute_by_window = 0;  // the same of each window's own gradient, mean over windows
  std::vector<double> windows;    // d . g of each window's own loss
};
struct PathPoint {
  double t = 0;
  double loss = 0;                    // nats per token
  std::vector<double> window_losses;  // the same by window
  std::vector<PathDots> matrices;     // as PathGradients::matrices; empty at loss_at()
};
struct PathMatrix {
  std::string tensor;
  int layer = 0;  // -1: embedding or head
  uint64_t elements = 0;
};
struct PathGradients {
  std::vector<PathMatrix> matrices;  // those that change, file order
  std::vector<PathPoint> points;     // in the order asked for
  // Of all points together: loading the models; forwards with losses; backwards; dots and observer.
  double load_seconds = 0, forward_seconds = 0, backward_seconds = 0, reader_seconds = 0;
};

// change: d; gradient: of the mean loss at the point. Laid out as the matrix, valid during the call.
using PathObserver = std::function<Status(size_t point, size_t matrix, std::span<const float> change, std::span<const float> gradient)>;

// Errors: a tensor that is no matrix (kUnsupported), those of the path and of the pass.
Result<PathGradients> path_gradients(const QuantizationPath& path, std::span<const double> ts, const PathObserver& observer = {},
                                     Progress& progress = silent_progress());
// The loss alone; what it took is added to `spent`.
Result<PathPoint> loss_at(const QuantizationPath& path, double t, PathGradients& spent, Progress& progress = silent_progress());

}  // namespace assay
