// Second order of the loss along the step d to a type, everything quantized at once: each matrix's row of it,
//   1/2 d_m . (H d)_m,   sum over m: 1/2 d . H d,
// by differences of gradients along d (second_order.h; methods.md 3.4, 3.5). Leaves out the first order, and all beyond the second.
#include "assay/score/path_scores.h"
#include "assay/score/second_order.h"
#include "assay/score/type_step.h"

namespace assay {
namespace {

constexpr double kStep = SecondOrderOptions{}.step;
constexpr double kPoints[] = {kStep, -kStep, 2 * kStep, -2 * kStep};

class HessianStep final : public PassScore {
 public:
  ScoreInfo info() const override {
    return {.name = "hessian_step",
            .what = "exact second order of the loss along the step to the type, all matrices together: this matrix's share",
            .unit = "nats per token",
            .by_type = true,
            .needs_text = true,
            .needs_gradients = true,
            .source = "methods.md 3.4, 3.5"};
  }
  std::string family() const override { return kPathFamily; }

  double estimate(const PassRun& run) const override { return estimate_of_steps(run, kPoints); }

  Result<PassRows> rows(const PassRun& run) const override {
    PassRows made;
    MatrixTable table(run.layers);
    for (TypeStep& step : type_steps(run)) {
      ASSAY_ASSIGN(PathGradients points, step.gradients(kPoints));
      ASSAY_ASSIGN(const SecondOrder order, second_order_of(std::move(points), kStep));
      for (const SecondOrderRow& row : order.matrices) table.add(row.tensor, {step.type(), row.term.second, row.term.error});
      if (!step.note().empty()) made.notes.push_back(step.note());
      made.forward_equivalents += std::size(kPoints) * kGradientForwards * run.passes();
    }
    made.rows = std::move(table).take();
    return made;
  }
};

}  // namespace

std::unique_ptr<Score> hessian_step_score() { return std::make_unique<HessianStep>(); }

}  // namespace assay
