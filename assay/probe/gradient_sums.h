// Parts of the gradient pass that blocks and ends of the model share: the sums over windows that readers asked for, and the loss's residual
// at the logits. Internal to probe/ (gradient_pass.h).
#pragma once

#include <ATen/core/Tensor.h>

#include <span>

#include "assay/base/stopwatch.h"
#include "assay/probe/gradient_pass.h"

namespace assay {

// What the readers of a pass want together, and how they get it.
class GradientReaders {
 public:
  GradientReaders(std::span<GradientReader* const> readers, size_t windows, uint64_t scored)
      : readers_(readers), windows_(windows), scored_(scored) {}
  GradientNeeds needs(const MatrixPlace& place, GradientLabels labels) const;
  bool wanted(const MatrixPlace& place) const;
  // Adds one window's gradient [out, in] to the sums, which may keep the tensor.
  Status add_window(const MatrixPlace& place, GradientLabels labels, size_t window, const at::Tensor& own, MatrixGradients& sums);
  // All windows are in: hands the sums over.
  Status finish(const MatrixPlace& place, MatrixGradients& sums);
  double seconds = 0;  // the readers' own work

 private:
  std::span<GradientReader* const> readers_;
  size_t windows_;
  uint64_t scored_;
};

// The loss at the logits.
class LossHead {
 public:
  LossHead(const Network& network, std::span<const Window> windows, uint64_t seed);
  // hidden: some rows of the last block's output -> log-probabilities [rows, vocab] on the CPU.
  at::Tensor log_predictions(const at::Tensor& normed) const;
  // Of scored positions [first, first + rows) of a window with predictions p: the text's labels, and the gradient of the window's loss at
  // the logits, (p - the label's) / scored.
  std::span<const int32_t> text_labels(size_t window, int64_t first, int64_t count) const;
  at::Tensor residual(GradientLabels labels, size_t window, int64_t first, const at::Tensor& p) const;
  int64_t scored() const { return scored_; }
  static constexpr int64_t kRows = 128;  // logits at a time

 private:
  int64_t draw(size_t window, int64_t position, std::span<const float> p) const;
  const Network& network_;
  uint64_t seed_;
  int64_t scored_;
  std::vector<int32_t> labels_;
};

// Gradients at embedding and head for those who want them; a tied embedding is one matrix with both ends' gradients added.
// hidden: [windows * scored, d], the last block's output; g: at the embedding's output, [windows * tokens, d] (undefined: not needed).
// kept: probabilities of every LossHead::kRows scored positions of every window, in order; empty: they are made again.
Status end_gradients(const Network& network, std::span<const Window> windows, const LossHead& head, const at::Tensor& hidden,
                     std::span<const GradientLabels> kinds, std::span<const at::Tensor> g, std::span<const at::Tensor> kept,
                     GradientReaders& readers);

}  // namespace assay
