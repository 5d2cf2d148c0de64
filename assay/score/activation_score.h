// Scores that see activations: one forward pass over batches of windows feeds all of them (job/score_model.h).
// Non-goals: gradients (gradient_score.h).
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <span>
#include <vector>

#include "assay/model/network.h"
#include "assay/score/score_run.h"

namespace assay {

// What a batch of windows of one length made of the model.
struct ActivationBatch {
  const Network& network;
  std::vector<at::Tensor> streams;  // the residual stream before the first block and after each, [windows * tokens, d] on the CPU
  int64_t windows = 0, tokens = 0;
};

class ActivationScore : public Score {
 public:
  // Sums over the batch, as many numbers for each batch; those of all batches are added up in order.
  virtual Result<std::vector<double>> numbers(const ActivationBatch& batch, const ScoreContext& context) const = 0;
  // `layers`: their shapes, block after block (no layer -1).
  virtual std::vector<ScoreRow> finish(std::span<const double> sums, std::span<const LayerNumbers> layers,
                                       const ScoreContext& context) const = 0;
};

// One row per block: its sum over the last number, which is what all were counted over.
inline std::vector<ScoreRow> layer_means(std::span<const double> sums, std::span<const LayerNumbers> layers) {
  std::vector<ScoreRow> rows;
  for (const LayerNumbers& layer : layers) rows.push_back(layer_row(layer, sums[static_cast<size_t>(layer.layer)] / sums.back()));
  return rows;
}

std::unique_ptr<Score> block_influence_score();         // block_influence_torch.cpp
std::unique_ptr<Score> block_influence_rest_score();    // the same without each window's first token
std::unique_ptr<Score> block_influence_window_score();  // two blocks together
std::unique_ptr<Score> norm_ratio_score();              // the same file
std::unique_ptr<Score> stream_step_score();             // the same file
std::unique_ptr<Score> unit_step_score();               // the same file
std::unique_ptr<Score> lim_score();                     // the same file
std::unique_ptr<Score> lsaq_score();                    // lsaq_torch.cpp

}  // namespace assay
