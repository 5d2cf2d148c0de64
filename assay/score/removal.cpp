// Measured damage of leaving out: KL of the model whose stream passes by a block, or by its attention or its feed-forward alone
// (methods.md 2.4, 3.2: layer ablation). Leaves out how several removals add up (`assay study qpsa` prunes at K), and says nothing about
// quantization: a block that does much may bear coarse weights well.
#include "assay/score/measured_scores.h"

namespace assay {
namespace {

using Part = ScheduleEdit::Part;

class Removal final : public VariantScore {
 public:
  Removal(ScoreInfo info, std::vector<Part> parts) : info_(info), parts_(std::move(parts)) {}

  ScoreInfo info() const override { return info_; }

  Result<std::vector<Variant>> variants(const VariantPlan& plan) const override {
    std::vector<Variant> list;
    for (const LayerNumbers& layer : plan.layers)
      for (const Part part : parts_of(layer)) {
        Variant variant;
        variant.schedule.push_back({ScheduleEdit::Action::kSkip, layer.layer, layer.layer, part, 1, 1, {}});
        list.push_back(std::move(variant));
      }
    return list;
  }

  std::vector<ScoreRow> rows(const VariantPlan& plan, std::span<const MeasuredEffect> effects, std::vector<std::string>&) const override {
    std::vector<ScoreRow> rows;
    size_t next = 0;
    for (const LayerNumbers& layer : plan.layers)
      for (const Part part : parts_of(layer)) {
        const LayerNumbers members = matrices_of(layer, part);
        ScoreRow row = layer_row(members, effects[next].kl);
        if (part != Part::kBlock) row.name = group_of(members.matrices[0].tensor, Grouping::kGroup);
        row.cells[0].standard_error = effects[next].standard_error;
        rows.push_back(std::move(row));
        ++next;
      }
    return rows;
  }

 private:
  // Of a block; none outside them, nor halves without a matrix.
  std::vector<Part> parts_of(const LayerNumbers& layer) const {
    std::vector<Part> parts;
    for (const Part part : parts_)
      if (layer.layer >= 0 && (part == Part::kBlock || !matrices_of(layer, part).matrices.empty())) parts.push_back(part);
    return parts;
  }

  static LayerNumbers matrices_of(const LayerNumbers& layer, Part part) {
    LayerNumbers members{layer.layer, {}, {}};
    for (const MatrixShape& matrix : layer.matrices)
      if (part == Part::kBlock || is_attention(matrix.role.role) == (part == Part::kAttention)) members.matrices.push_back(matrix);
    return members;
  }

  ScoreInfo info_;
  std::vector<Part> parts_;
};

ScoreInfo removal_info(std::string_view name, std::string_view what, Grouping finest) {
  return {.name = name,
          .what = what,
          .estimand = Estimand::kRemoval,
          .unit = "nats per token",
          .finest = finest,
          .needs_text = true,
          .source = "methods.md 2.4, 3.2 (layer ablation)"};
}

}  // namespace

std::unique_ptr<Score> layer_removal_score() {
  return std::make_unique<Removal>(removal_info("layer_removal", "measured KL without the block", Grouping::kLayer),
                                   std::vector{Part::kBlock});
}
std::unique_ptr<Score> half_removal_score() {
  return std::make_unique<Removal>(
      removal_info("half_removal", "measured KL without the block's attention, or without its feed-forward", Grouping::kGroup),
      std::vector{Part::kAttention, Part::kFfn});
}

}  // namespace assay
