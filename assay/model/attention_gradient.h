// The gradient of causal attention of one query head over one sequence (attention_rows.h): the probabilities are made again, 48 queries
// at a time, and five panel products give the gradients. float32. Torch-free; thread-safe with one object per thread.
// Non-goals: CPUs without panel::float32_supported().
#pragma once

#include <vector>

#include "assay/model/attention_rows.h"

namespace assay {

class AttentionGradient {
 public:
  // k, v: [tokens, head_dim] of one head, `stride` floats between tokens; they stay the caller's until the last backward().
  void keys(const AttentionShape& shape, const float* k, const float* v, int64_t stride);
  // q and g, the gradient at this head's output: [queries, head_dim] with q_stride. gq (q_stride) is written; gk and gv (the keys'
  // stride) are added to, so that the query heads that share keys follow each other.
  void backward(const float* q, const float* g, int64_t q_stride, float* gq, float* gk, float* gv);

 private:
  AttentionShape shape_;
  const float* k_ = nullptr;
  int64_t stride_ = 0;
  std::vector<float> keys_, values_;  // panels of 64 tokens [d, 64]
  std::vector<float> queries_, probabilities_, gradients_;
};

}  // namespace assay
