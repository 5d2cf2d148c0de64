// Gradients of the loss at every matrix, for any number of readers at once: one forward, and one backward per kind of labels,
// block by block from the last to the first. All windows pass a block before the next one, so that what is summed per weight belongs to
// the block at hand. float32; windows are summed in their order; nothing depends on threads, or on memory.
// Loss of a window: its mean negative log-likelihood over the scored positions, nats per token; of all: the mean over windows.
// Embedding and head come last, a tied one as one matrix with the gradients of both ends; where someone wants them, one float per weight
// for each sum and one more. Non-goals: what is made of the gradients.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/progress.h"
#include "assay/base/result.h"
#include "assay/model/network.h"
#include "assay/probe/gradient_needs.h"
#include "assay/text/windows.h"

namespace assay {

struct MatrixPlace {
  int layer = 0;  // -1: embedding or head
  std::string tensor;
};

// One window at a matrix: inputs x [tokens, in] and gradients g [tokens, out] of the window's loss at the outputs, on the model's device.
struct GradientRows {
  at::Tensor x, g;
};

// All windows at a matrix under one kind of labels; what was asked for, on the CPU.
struct MatrixGradient {
  at::Tensor mean, squares;
  std::vector<GradientRows> rows;
  size_t windows = 0;
  uint64_t scored = 0;  // positions per window
};

struct MatrixGradients {
  MatrixGradient text, drawn;
  const MatrixGradient& operator[](GradientLabels labels) const { return labels == GradientLabels::kText ? text : drawn; }
  MatrixGradient& operator[](GradientLabels labels) { return labels == GradientLabels::kText ? text : drawn; }
};

class GradientReader {
 public:
  virtual ~GradientReader() = default;
  virtual GradientNeeds needs(const MatrixPlace& place, GradientLabels labels) const = 0;
  // gradient: [out, in] of one window's loss, on the CPU; windows in order, before matrix(). Only where `windows` was asked for. Valid
  // during the call.
  virtual Status window(const MatrixPlace& place, GradientLabels labels, size_t window, const at::Tensor& gradient) {
    return (void)place, (void)labels, (void)window, (void)gradient, Status{};
  }
  // Once per matrix that is wanted, with both kinds of labels.
  virtual Status matrix(const MatrixPlace& place, const MatrixGradients& gradients) = 0;
};

struct GradientPassOptions {
  uint64_t seed = 0;  // of drawn labels
  // Bytes for what the forward leaves to the backward: with less, more is computed twice. 0: no limit.
  uint64_t memory = uint64_t{2} << 30;
};

struct GradientLosses {
  double mean = 0;              // of the text's labels, nats per token
  std::vector<double> windows;  // the same by window
  // Of the forward with its losses; of what each kind of labels took beyond, by GradientLabels; readers' own work apart.
  double forward_seconds = 0, backward_seconds[2] = {}, reader_seconds = 0;
};

// Windows of one length and one scored range. Errors: kUsage (memory: names what is needed), kBadInput (activations that are not finite),
// kInterrupted, what a reader returns.
Result<GradientLosses> gradient_pass(const Network& network, std::span<const Window> windows, std::span<GradientReader* const> readers,
                                     const GradientPassOptions& options = {}, Progress& progress = silent_progress());

// x [rows, in], g [rows, out] -> g^T x [out, in]: rounding does not depend on threads.
at::Tensor outer_product(const at::Tensor& g, const at::Tensor& x);

}  // namespace assay
