// Measured damage of one matrix: KL of the model with only that matrix stored at the type (design.md section 6: the ground truth of scores
// of quantization). Leaves out how damages of several matrices add up.
#include "assay/score/measured_scores.h"

namespace assay {
namespace {

class MeasuredDamage final : public VariantScore {
 public:
  ScoreInfo info() const override {
    return {.name = "measured_damage",
            .what = "measured KL with only this matrix at the type",
            .unit = "nats per token",
            .by_type = true,
            .needs_text = true,
            .source = "methods.md 3.2 (quantize one)"};
  }

  Result<std::vector<Variant>> variants(const VariantPlan& plan) const override {
    std::vector<Variant> list;
    for (const LayerNumbers& layer : plan.layers)
      for (const MatrixShape& matrix : layer.matrices)
        for (const GgmlType type : plan.types_of(matrix.tensor)) list.push_back({{}, {requantize_edit(matrix.tensor, type)}, {}, {}, {}});
    return list;
  }

  std::vector<ScoreRow> rows(const VariantPlan& plan, std::span<const MeasuredEffect> effects, std::vector<std::string>&) const override {
    std::vector<ScoreRow> rows;
    size_t next = 0;
    for (const LayerNumbers& layer : plan.layers)
      for (const MatrixShape& matrix : layer.matrices) {
        ScoreRow row{matrix.tensor, {matrix.tensor}, matrix.elements(), {}};
        for (const GgmlType type : plan.types_of(matrix.tensor)) {
          row.cells.push_back({type, effects[next].kl, effects[next].standard_error});
          ++next;
        }
        rows.push_back(std::move(row));
      }
    return rows;
  }
};

}  // namespace

std::unique_ptr<Score> measured_damage_score() { return std::make_unique<MeasuredDamage>(); }

}  // namespace assay
