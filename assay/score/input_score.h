// Scores of a matrix and a sample of its inputs. Non-goals: taking the sample (job/score_model.cpp).
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "assay/score/score_run.h"

namespace assay {

class InputScore : public Score {
 public:
  // inputs: [tokens, columns] float32 on the CPU.
  virtual Result<double> value(const MatrixView& matrix, const at::Tensor& inputs, const ScoreContext& context) const = 0;
};

// AWQ's search on one matrix (methods.md 3.16, 4.3): the error of its output, 4 bits in groups of 128, at each alpha = 0, 1/20, ..., 19/20.
// Columns are multiplied by s before rounding and divided after it, s = mean|x|^alpha, at least 1e-4, over sqrt(largest s x smallest s).
// [20]: mean ||X (W' - W)^T||^2 over mean ||X W^T||^2.
std::vector<double> awq_search(const MatrixView& matrix, const at::Tensor& inputs, int threads);

std::unique_ptr<Score> awq_loss_score();  // the least of them
std::unique_ptr<Score> awq_gain_score();  // 1 - least / at alpha = 0: how much scaling helps

}  // namespace assay
