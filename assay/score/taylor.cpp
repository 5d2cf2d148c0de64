// First order in the change d of the weights: sum g d, and the same without signs (methods.md 3.4).
#include <cmath>

#include "assay/score/gradient_kernels.h"
#include "assay/score/gradient_scores.h"
#include "assay/score/weight_values.h"

namespace assay {
namespace {

class Taylor1 : public GradientScore {
 public:
  explicit Taylor1(bool absolute) : absolute_(absolute) {}
  ScoreInfo info() const override {
    ScoreInfo info{.name = "taylor1",
                   .what = "first-order change of the loss at the type",
                   .unit = "nats per token",
                   .by_type = true,
                   .needs_text = true,
                   .needs_gradients = true,
                   .source = "methods.md 3.4 (3.3)"};
    if (!absolute_) return info;
    info.name = "taylor1_abs";
    info.what = "first-order changes of the loss at the type, weight by weight without their signs";
    return info;
  }
  GradientNeeds needs() const override { return {.mean = true}; }
  Result<double> value(const MatrixView&, const GradientView& gradient, std::optional<GgmlType>, std::span<const float> change,
                       const ScoreContext& context) const override {
    const DotSums sums = dot_sums(gradient.mean, change, context.threads);
    return absolute_ ? sums.absolute_sum : sums.signed_sum;
  }
  bool has_weight_values() const override { return true; }
  void weight_values(const MatrixView&, const GradientView& gradient, std::span<const float> change, const ScoreContext& context,
                     std::span<float> out) const override {
    const auto product = [&](size_t i) { return static_cast<double>(gradient.mean[i]) * static_cast<double>(change[i]); };
    if (absolute_)
      fill_weights(out, context.threads, [&](size_t i) { return std::fabs(product(i)); });
    else
      fill_weights(out, context.threads, product);
  }

 private:
  bool absolute_;
};

}  // namespace

std::unique_ptr<GradientScore> taylor1_score() { return std::make_unique<Taylor1>(false); }
std::unique_ptr<GradientScore> taylor1_absolute_score() { return std::make_unique<Taylor1>(true); }

}  // namespace assay
