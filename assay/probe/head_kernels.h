// Reductions over one row of logits: the hottest code of the program beside the matrix products.
// With u = z~ - z and c = E_p[u]: log(sum e^z~ / sum e^z) = c + log E_p[e^(u-c)], and KL(p || q) = log E_p[e^(u-c)] =
// log1p(E_p[e^(u-c) - 1 - (u-c)]): every term >= 0 and one exponential per logit. This is the form sum p phi(d) of
// engineering_notes.md section 5 with its normalisation done in double: effects far below float32's resolution of log p stay visible,
// also in the difference of two NLLs. Identical rows give exactly 0. Equal bytes on every CPU capability. Torch-free, thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace assay {

// What is known of a base row.
struct RowBase {
  double log_sum_exp = 0;
  double mass = 0;            // sum of the row's weights
  float top = 0, second = 0;  // largest and second largest logit; second = top for a tie
  int32_t argmax = 0;         // the lowest index of the largest
  bool finite = true;
};

// One scored position of one variant.
struct PositionObservation {
  double kl = 0;                      // KL(base || variant), nats, >= 0
  double nll_base = 0;                // -log p(label)
  double nll = 0;                     // -log q(label)
  double nll_difference = 0;          // nll - nll_base, without the cancellation
  float p_base = 0, p = 0;            // probability of the label
  float margin_base = 0, margin = 0;  // top logit minus second
  int32_t argmax = 0;                 // the variant's most probable token; ties: the lowest index
  bool flip = false;                  // the most probable token differs from the base's
  bool finite = true;                 // false: a logit is NaN or infinite, and the numbers mean nothing
};

// Fills `row` and the row's weights [vocab]: w = e^(z - top), so that p = w / mass; 0 more than 80 nats under the top.
void prepare_base(std::span<const float> logits, RowBase& row, float* weights);
// Compares a variant's logits [vocab] with the prepared base row. 0 <= label < vocab.
PositionObservation compare(const RowBase& base, const float* base_logits, const float* weights, const float* variant_logits, size_t vocab,
                            int32_t label);
// Without a base: -log softmax(logits)[label]; NaN if the row is not finite.
double log_softmax_nll(std::span<const float> logits, int32_t label);

}  // namespace assay
