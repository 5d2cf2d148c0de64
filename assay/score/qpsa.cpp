// Q-PSA, measured: weights of a quantized model drawn by lot, each moved both ways, and how much the perplexity moves,
//   s_i = 1/2 (|PPL(+1) - PPL| + |PPL(-1) - PPL|),  score of a layer = mean of s_i over its matrices' samples together
// (methods.md 3.1). qpsa_level moves one weight's code by one level (2.2); qpsa_byte adds 1 to a stored byte modulo 256 (2.3), as
// published: that may be a scale of 256 weights or the high bits of eight, so it tells storage from sensitivity badly. Sides that cannot
// move, and those without finite logits, do not count. Of the model as it is stored. Leaves out matrices without codes (F32, F16, BF16) and
// the embedding. Q-PSA in one gradient: qpsa_gradient.cpp.
#include <fmt/format.h>

#include "assay/probe/variant_families.h"
#include "assay/probe/variant_io.h"
#include "assay/quant/code_move.h"
#include "assay/score/level_gradient.h"
#include "assay/score/measured_scores.h"
#include "assay/score/sampled_effects.h"

namespace assay {
namespace {

class Qpsa final : public VariantScore {
 public:
  Qpsa(ScoreInfo info, Family::Kind kind, uint64_t samples) : info_(info), kind_(kind), samples_(samples) {}

  ScoreInfo info() const override { return info_; }
  bool leaves_out_broken() const override { return true; }

  Result<std::vector<Variant>> variants(const VariantPlan& plan) const override {
    ASSAY_ASSIGN(VariantSet set, sampled(plan));
    return std::move(set.variants);
  }

  std::vector<ScoreRow> rows(const VariantPlan& plan, std::span<const MeasuredEffect> effects,
                             std::vector<std::string>& notes) const override {
    const auto set = sampled(plan);  // as in variants(): it can be made
    if (!set || set->groups.empty()) {
      notes.emplace_back(kNoCodes);
      return {};
    }
    std::vector<SampledEffect> samples;
    uint64_t saturated = 0, broken = 0;
    for (const VariantGroup& group : set->groups) {
      const std::string& tensor = set->variants[group.members[0]].weights[0].tensor;
      SampledEffect sample{role_of(tensor).layer, tensor, samples.size(), 0, true};
      std::vector<double> changes;
      for (const size_t member : group.members) {
        const MeasuredEffect& effect = effects[member];
        saturated += effect.empty;
        broken += !effect.finite;
        if (!effect.empty && effect.finite) changes.push_back(effect.ppl_change);
      }
      set_effect(sample, changes);
      samples.push_back(std::move(sample));
    }
    notes.push_back(fmt::format("{} samples of each matrix, both ways; {} of {} sides change nothing, {} give logits that are not finite",
                                samples_, saturated, 2 * samples.size(), broken));
    const std::vector<LayerScore> scores = mean_by_layer(samples, plan.shape.hyper().layers);
    std::vector<ScoreRow> rows;
    for (const LayerNumbers& layer : plan.layers) {
      if (layer.layer < 0) continue;
      const LayerScore& score = scores[static_cast<size_t>(layer.layer)];
      if (score.samples == 0) continue;
      rows.push_back(layer_row(layer, score.value));
      rows.back().cells[0].standard_error = score.standard_error;
    }
    return rows;
  }

 private:
  // No groups: no matrix has codes.
  Result<VariantSet> sampled(const VariantPlan& plan) const {
    Family family;
    family.kind = kind_;
    family.samples = samples_;
    family.seed = plan.seed;
    for (const LayerNumbers& layer : plan.layers)
      for (const MatrixShape& matrix : layer.matrices)
        if (layer.layer >= 0 && code_move_kind(plan.shape.find(matrix.tensor)->type) != CodeMoveKind::kNone)
          family.tensors.push_back(matrix.tensor);
    if (family.tensors.empty()) return VariantSet{};
    VariantFile file;
    file.families.push_back(std::move(family));
    return expand(file, plan.shape);
  }

  ScoreInfo info_;
  Family::Kind kind_;
  uint64_t samples_;
};

ScoreInfo qpsa_info(std::string_view name, std::string_view what) {
  return {.name = name,
          .what = what,
          .unit = "perplexity",
          .finest = Grouping::kLayer,
          .pooling = Pooling::kMean,
          .needs_text = true,
          .source = "Q-PSA; methods.md 3.1, 2.2, 2.3"};
}

}  // namespace

std::unique_ptr<Score> qpsa_level_score(uint64_t samples) {
  return std::make_unique<Qpsa>(qpsa_info("qpsa_level", "mean change of perplexity when one stored code moves by one level"),
                                Family::Kind::kLevels, samples);
}
std::unique_ptr<Score> qpsa_byte_score(uint64_t samples) {
  return std::make_unique<Qpsa>(qpsa_info("qpsa_byte", "mean change of perplexity when one stored byte changes by one"),
                                Family::Kind::kBytes, samples);
}

}  // namespace assay
