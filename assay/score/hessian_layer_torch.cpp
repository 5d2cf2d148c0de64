// Second order of the loss along the step to a type of one layer's matrices, all others as they are: 1/2 d_l . H_ll d_l, the block of the
// Hessian alone, by differences of gradients along d_l (second_order.h; methods.md 3.4). Embedding and head are layers of their own.
// Leaves out the products between layers (hessian_step has them), the first order, and all beyond the second.
#include "assay/score/path_scores.h"
#include "assay/score/second_order.h"
#include "assay/score/type_step.h"

namespace assay {
namespace {

constexpr double kStep = SecondOrderOptions{}.step;
constexpr double kPoints[] = {kStep, -kStep, 2 * kStep, -2 * kStep};

// A row without cells per layer, in the run's order.
std::vector<ScoreRow> rows_by_layer(const PassRun& run) {
  std::vector<ScoreRow> rows;
  for (const LayerNumbers& layer : run.layers)
    for (const MatrixShape& matrix : layer.matrices) {
      const std::string name = group_of(matrix.tensor, Grouping::kLayer);
      if (rows.empty() || rows.back().name != name) rows.push_back({name, {}, 0, {}});
      rows.back().tensors.push_back(matrix.tensor);
      rows.back().elements += matrix.elements();
    }
  return rows;
}

class HessianLayer final : public PassScore {
 public:
  ScoreInfo info() const override {
    return {.name = "hessian_layer",
            .what = "exact second order of the loss along the step of this layer alone to the type",
            .unit = "nats per token",
            .finest = Grouping::kLayer,
            .by_type = true,
            .needs_text = true,
            .needs_gradients = true,
            .source = "methods.md 3.4"};
  }
  std::string family() const override { return kPathFamily; }

  double estimate(const PassRun& run) const override {
    double forwards = 0;
    for (const ScoreRow& row : rows_by_layer(run))
      for (const GgmlType type : run.types)
        if (const TypeStep step(run, type, row.name); !step.matrices().empty()) forwards += step.estimate(kPoints);
    return forwards;
  }

  Result<PassRows> rows(const PassRun& run) const override {
    PassRows made;
    made.rows = rows_by_layer(run);
    for (const GgmlType type : run.types) {
      if (const TypeStep all(run, type); !all.matrices().empty() && !all.note().empty()) made.notes.push_back(all.note());
      for (ScoreRow& row : made.rows) {
        TypeStep step(run, type, row.name);
        if (step.matrices().empty()) continue;
        ASSAY_ASSIGN(PathGradients points, step.gradients(kPoints));
        ASSAY_ASSIGN(const SecondOrder order, second_order_of(std::move(points), kStep));
        row.cells.push_back({type, order.total.second, order.total.error});
        made.forward_equivalents += std::size(kPoints) * kGradientForwards * run.passes();
      }
    }
    return made;
  }
};

}  // namespace

std::unique_ptr<Score> hessian_layer_score() { return std::make_unique<HessianLayer>(); }

}  // namespace assay
