// The Fisher diagonal as squared gradients of windows (methods.md 3.6): empirical with the text's labels, true with labels drawn from the
// model. Its sum as SqueezeLLM weighs by it, and second-order terms 1/2 F d^2 for d = -w and for the change at a type (methods.md 3.4).
#include <algorithm>

#include "assay/score/gradient_kernels.h"
#include "assay/score/gradient_scores.h"
#include "assay/score/weight_values.h"

namespace assay {
namespace {

enum class Form { kSum, kPruning, kChange, kBothOrders };

struct Definition {
  std::string_view name, what;
  Form form;
  GradientLabels labels;
};

class Fisher : public GradientScore {
 public:
  explicit Fisher(const Definition& definition) : definition_(definition) {}
  ScoreInfo info() const override {
    return {.name = definition_.name,
            .what = definition_.what,
            .unit = definition_.form == Form::kSum ? "nats^2 per weight^2, summed over windows" : "nats per token",
            .by_type = by_type(),
            .needs_text = true,
            .needs_gradients = true,
            .source = definition_.form == Form::kSum ? "SqueezeLLM; methods.md 3.6 (3.7)" : "methods.md 3.4 (3.5), 3.6"};
  }
  GradientNeeds needs() const override { return {.mean = definition_.form == Form::kBothOrders, .squares = true}; }
  GradientLabels labels() const override { return definition_.labels; }
  Result<double> value(const MatrixView& matrix, const GradientView& gradient, std::optional<GgmlType>, std::span<const float> change,
                       const ScoreContext& context) const override {
    if (definition_.form == Form::kSum) return absolute_sum(gradient.squares, context.threads);
    const double second = 0.5 * gradient.fisher_scale() * weighted_square(gradient.squares, step_of(matrix, change), context.threads);
    return definition_.form == Form::kBothOrders ? second + dot_sums(gradient.mean, change, context.threads).signed_sum : second;
  }
  bool has_weight_values() const override { return true; }
  void weight_values(const MatrixView& matrix, const GradientView& gradient, std::span<const float> change, const ScoreContext& context,
                     std::span<float> out) const override {
    const std::span<const float> step = step_of(matrix, change);
    const double half = 0.5 * gradient.fisher_scale();
    const auto second = [&](size_t i) {
      return half * static_cast<double>(gradient.squares[i]) * (static_cast<double>(step[i]) * static_cast<double>(step[i]));
    };
    if (definition_.form == Form::kSum)
      std::ranges::copy(gradient.squares, out.begin());
    else if (definition_.form == Form::kBothOrders)
      fill_weights(out, context.threads,
                   [&](size_t i) { return second(i) + static_cast<double>(gradient.mean[i]) * static_cast<double>(change[i]); });
    else
      fill_weights(out, context.threads, second);
  }

 private:
  std::span<const float> step_of(const MatrixView& matrix, std::span<const float> change) const {
    return by_type() ? change : matrix.values;
  }
  bool by_type() const { return definition_.form == Form::kChange || definition_.form == Form::kBothOrders; }
  Definition definition_;
};

constexpr GradientLabels kText = GradientLabels::kText, kDrawn = GradientLabels::kDrawn;

std::unique_ptr<GradientScore> make(std::string_view name, std::string_view what, Form form, GradientLabels labels) {
  return std::make_unique<Fisher>(Definition{name, what, form, labels});
}

}  // namespace

std::unique_ptr<GradientScore> taylor2_score() {
  return make("taylor2_fisher", "second-order change of the loss at the type, empirical Fisher diagonal", Form::kChange, kText);
}
std::unique_ptr<GradientScore> taylor2_true_fisher_score() {
  return make("taylor2_true_fisher", "second-order change of the loss at the type, Fisher diagonal of drawn labels", Form::kChange, kDrawn);
}
std::unique_ptr<GradientScore> taylor12_score() {
  return make("taylor12_fisher", "first- and second-order change of the loss at the type, empirical Fisher diagonal", Form::kBothOrders,
              kText);
}
std::unique_ptr<GradientScore> fisher_score() {
  return make("fisher", "squared gradients of windows, summed: the text's labels", Form::kSum, kText);
}
std::unique_ptr<GradientScore> true_fisher_score() {
  return make("true_fisher", "squared gradients of windows, summed: labels drawn from the model", Form::kSum, kDrawn);
}
std::unique_ptr<GradientScore> fisher_pruning_score() {
  return make("fisher_pruning", "second-order change of the loss without the weights, empirical Fisher diagonal", Form::kPruning, kText);
}
std::unique_ptr<GradientScore> true_fisher_pruning_score() {
  return make("true_fisher_pruning", "second-order change of the loss without the weights, Fisher diagonal of drawn labels", Form::kPruning,
              kDrawn);
}

}  // namespace assay
