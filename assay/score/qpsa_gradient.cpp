// Q-PSA from one gradient: mean over all weights of |g . step|, the step of one level of the stored code, both ways where both exist
// (methods.md 3.1, 2.2). What qpsa_level measures of a few weights by a run each, to first order and of all of them; a change of one level
// is so small that the next order does not show. nats per token: times the perplexity it is qpsa_level's unit.
// Leaves out matrices without codes, and everything that several weights do together: it is not a damage of quantization.
#include "assay/score/gradient_scores.h"
#include "assay/score/level_gradient.h"

namespace assay {
namespace {

class QpsaGradient final : public GradientScore {
 public:
  ScoreInfo info() const override {
    return {.name = "qpsa_gradient",
            .what = "mean of |gradient times one level| over all stored codes",
            .unit = "nats per token",
            .pooling = Pooling::kMean,
            .needs_text = true,
            .needs_gradients = true,
            .source = "Q-PSA by gradient; methods.md 3.1, 2.2"};
  }
  GradientNeeds needs() const override { return {.mean = true}; }
  bool of_codes() const override { return true; }

  Result<double> value(const MatrixView&, const GradientView& gradient, std::optional<GgmlType>, std::span<const float>,
                       const ScoreContext&) const override {
    ASSAY_ASSIGN(const LevelGradient made, level_gradient(gradient.stored->type, gradient.stored->bytes, gradient.mean));
    return made.mean();
  }
};

}  // namespace

std::unique_ptr<GradientScore> qpsa_gradient_score() { return std::make_unique<QpsaGradient>(); }

}  // namespace assay
