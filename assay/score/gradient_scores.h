// Scores made of gradients of the loss at a matrix. A score says what it wants of the gradient pass (probe/gradient_pass.h) and turns it,
// with the change that a type makes where it predicts one, into a number. Loss: mean negative log-likelihood, nats per scored token.
// Torch-free. Non-goals: the pass that feeds them all at once (gradient_run.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "assay/model/interpolated_checkpoint.h"
#include "assay/probe/gradient_needs.h"
#include "assay/score/score_run.h"

namespace assay {

// One window: gradients of the window's loss at the outputs, and the outputs' change x dW^T; each [tokens, rows of the matrix].
struct OutputGradients {
  std::span<const float> gradients, changes;
};

// The windows of a matrix at the type in hand, made one at a time.
class OutputSource {
 public:
  virtual ~OutputSource() = default;
  // Valid until the next call.
  virtual Result<OutputGradients> window(size_t index) = 0;
};

// What the pass found at one matrix; laid out as its weights, empty unless asked for.
struct GradientView {
  size_t windows = 0;
  uint64_t scored = 0;             // positions per window
  std::span<const float> mean;     // of the loss of all windows
  std::span<const float> squares;  // summed over windows: the squared gradient of each window's own loss
  OutputSource* outputs = nullptr;
  const StoredMatrix* stored = nullptr;  // the matrix in the model's file; only where of_codes()

  // From the sum of squares to the Fisher diagonal per token: a window's gradient is a mean over its tokens, whose gradients are
  // uncorrelated under drawn labels (in expectation), so E G^2 = F / scored. 1/2 d F d is then nats per token.
  double fisher_scale() const { return static_cast<double>(scored) / static_cast<double>(windows); }
};

class GradientScore : public Score {
 public:
  // rows: `outputs` is there; only where info().by_type.
  virtual GradientNeeds needs() const = 0;
  virtual GradientLabels labels() const { return GradientLabels::kText; }
  // About the codes that are stored: matrices without any have no value.
  virtual bool of_codes() const { return false; }
  // type and change (decoded(encoded(W)) - W): only where info().by_type.
  virtual Result<double> value(const MatrixView& matrix, const GradientView& gradient, std::optional<GgmlType> type,
                               std::span<const float> change, const ScoreContext& context) const = 0;
  // The terms of value(), where has_weight_values(); out is laid out as the matrix.
  virtual void weight_values(const MatrixView& matrix, const GradientView& gradient, std::span<const float> change,
                             const ScoreContext& context, std::span<float> out) const {
    (void)matrix, (void)gradient, (void)change, (void)context, (void)out;
  }
};

std::unique_ptr<GradientScore> taylor1_score();                 // taylor.cpp
std::unique_ptr<GradientScore> taylor1_absolute_score();        // taylor.cpp
std::unique_ptr<GradientScore> taylor2_score();                 // fisher.cpp: empirical Fisher
std::unique_ptr<GradientScore> taylor2_true_fisher_score();     // fisher.cpp
std::unique_ptr<GradientScore> taylor12_score();                // fisher.cpp: with the first-order term
std::unique_ptr<GradientScore> fisher_score();                  // fisher.cpp: empirical, sum of the diagonal
std::unique_ptr<GradientScore> true_fisher_score();             // fisher.cpp
std::unique_ptr<GradientScore> fisher_pruning_score();          // fisher.cpp
std::unique_ptr<GradientScore> true_fisher_pruning_score();     // fisher.cpp
std::unique_ptr<GradientScore> llm_mq_score(int bits);          // llm_mq.cpp: 2 or 4
std::unique_ptr<GradientScore> output_fisher_score();           // output_fisher.cpp
std::unique_ptr<GradientScore> qpsa_gradient_score();           // qpsa_gradient.cpp: of_codes
std::vector<std::unique_ptr<GradientScore>> gradient_scores();  // all, in this order

// W - Q(W) of llm_mq: groups of 128 weights along the flattened matrix, lowest to highest value in 2^bits - 1 even steps; the largest 0.5 %
// of the weights by magnitude stay as they are and do not widen their group.
std::vector<float> llm_mq_error(std::span<const float> weights, int bits);

}  // namespace assay
