// ModelOpt's AutoQuantize score: squared gradients at a matrix's outputs times squared changes of these outputs, over all tokens and
// channels (methods.md 3.15); the gradients are of each window's mean loss.
#include "assay/score/gradient_kernels.h"
#include "assay/score/gradient_scores.h"

namespace assay {
namespace {

class OutputFisher : public GradientScore {
 public:
  ScoreInfo info() const override {
    return {.name = "output_fisher",
            .what = "squared output gradients times squared output changes at the type",
            .unit = "nats^2, summed over windows",
            .by_type = true,
            .needs_text = true,
            .needs_gradients = true,
            .source = "ModelOpt AutoQuantize; methods.md 3.15"};
  }
  GradientNeeds needs() const override { return {.rows = true}; }
  Result<double> value(const MatrixView&, const GradientView& gradient, std::optional<GgmlType>, std::span<const float>,
                       const ScoreContext& context) const override {
    double sum = 0;
    for (size_t w = 0; w < gradient.windows; ++w) {
      ASSAY_ASSIGN(const OutputGradients outputs, gradient.outputs->window(w));
      sum += squared_products(outputs.gradients, outputs.changes, context.threads);
    }
    return sum;
  }
};

}  // namespace

std::unique_ptr<GradientScore> output_fisher_score() { return std::make_unique<OutputFisher>(); }

std::vector<std::unique_ptr<GradientScore>> gradient_scores() {
  std::vector<std::unique_ptr<GradientScore>> all;
  all.push_back(taylor1_score());
  all.push_back(taylor1_absolute_score());
  all.push_back(taylor2_score());
  all.push_back(taylor2_true_fisher_score());
  all.push_back(taylor12_score());
  all.push_back(fisher_score());
  all.push_back(true_fisher_score());
  all.push_back(fisher_pruning_score());
  all.push_back(true_fisher_pruning_score());
  all.push_back(llm_mq_score(2));
  all.push_back(llm_mq_score(4));
  all.push_back(output_fisher_score());
  all.push_back(qpsa_gradient_score());
  return all;
}

}  // namespace assay
