// Delta-loss of AutoRound's AutoScheme (methods.md 3.15): how far the loss could rise or fall over the step, element by element, by the
// gradient at the quantized point:
//   sum |g_W o (W - W~)| + sum |g_x o (x - x~)|,   g at the model whose matrices are all stored at the type.
// x - x~ is what a quantizer of activations does to the inputs: ggml types store weights alone, so x = x~ and the second sum is 0.
// Leaves out signs: it counts every weight as if none cancelled. AutoScheme adds up batches of windows; here all windows are one batch.
#include "assay/score/path_scores.h"
#include "assay/score/type_step.h"

namespace assay {
namespace {

constexpr double kPoints[] = {1};

class DeltaLoss final : public PassScore {
 public:
  ScoreInfo info() const override {
    return {.name = "delta_loss",
            .what = "sum over weights of |gradient at the quantized model x change|",
            .unit = "nats per token",
            .by_type = true,
            .needs_text = true,
            .needs_gradients = true,
            .source = "AutoRound AutoScheme; methods.md 3.15"};
  }
  std::string family() const override { return kPathFamily; }

  double estimate(const PassRun& run) const override { return estimate_of_steps(run, kPoints); }

  Result<PassRows> rows(const PassRun& run) const override {
    PassRows made;
    made.notes.emplace_back("ggml types leave activations as they are: the term of the inputs is 0");
    MatrixTable table(run.layers);
    for (TypeStep& step : type_steps(run)) {
      ASSAY_ASSIGN(const PathGradients path, step.gradients(kPoints));
      for (size_t m = 0; m < path.matrices.size(); ++m)
        table.add(path.matrices[m].tensor, {step.type(), path.points[0].matrices[m].absolute, 0});
      if (!step.note().empty()) made.notes.push_back(step.note());
      made.forward_equivalents += kGradientForwards * run.passes();
    }
    made.rows = std::move(table).take();
    return made;
  }
};

}  // namespace

std::unique_ptr<Score> delta_loss_score() { return std::make_unique<DeltaLoss>(); }

}  // namespace assay
