// Reductions over one row of logits: the hottest code of the program beside the matrix products.
// KL is the sum of p phi(d), d = log p - log q, phi(d) = d + expm1(-d): every term is >= 0, so effects far below float32's resolution of
// log p stay visible (engineering_notes.md section 5). Identical rows give exactly 0. Equal bytes on every CPU capability. Torch-free.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace assay {

// What is known of a base row.
struct RowBase {
  double log_sum_exp = 0;
  float top = 0, second = 0;  // largest and second largest logit
  int32_t argmax = 0;         // the lowest index of the largest
  bool finite = true;
};

// One scored position of one variant.
struct PositionObservation {
  double kl = 0;               // KL(base || variant), nats, >= 0
  double nll_base = 0;         // -log p(label)
  double nll = 0;              // -log q(label)
  double nll_difference = 0;   // nll - nll_base, without the cancellation
  float p_base = 0, p = 0;     // probability of the label
  float margin_base = 0, margin = 0;  // top logit minus second
  bool flip = false;           // the most probable token differs
  bool finite = true;
};

// Fills `row` and the row's probabilities p [vocab].
void prepare_base(std::span<const float> logits, RowBase& row, float* p);
// Compares a variant's logits [vocab] with the prepared base row.
PositionObservation compare(const RowBase& base, const float* base_logits, const float* p, const float* variant_logits, size_t vocab, int32_t label);
// Without a base: -log softmax(logits)[label]; NaN if the row is not finite.
double log_softmax_nll(std::span<const float> logits, int32_t label);

}  // namespace assay
