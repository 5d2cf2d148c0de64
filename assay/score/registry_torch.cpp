#include <algorithm>

#include "assay/base/text.h"
#include "assay/score/activation_score.h"
#include "assay/score/data_free_scores.h"
#include "assay/score/gradient_scores.h"
#include "assay/score/importance_score.h"
#include "assay/score/input_score.h"
#include "assay/score/measured_scores.h"
#include "assay/score/nsds.h"
#include "assay/score/nsds_ramp.h"
#include "assay/score/path_scores.h"
#include "assay/score/registry.h"
#include "assay/score/residual_scores.h"

namespace assay {
namespace {

struct Entry {
  std::unique_ptr<Score> (*make)();
  bool in_default = true;
};

template <PqiForm form>
std::unique_ptr<Score> pqi_of() {
  return pqi_score(form);
}

template <std::unique_ptr<GradientScore> (*make)()>
std::unique_ptr<Score> made() {
  return make();
}

constexpr Entry kEntries[] = {
    {random_score},
    {size_score},
    {weight_norm_score},
    {kurtosis_score},
    {kurt_boost_score},
    {zd_score},
    {two_bit_error_score},
    {ewq_score},
    {nsds_score},
    {nsds_faithful_score, false},
    {nsds_ramp_score},
    {nsds_ramp_faithful_score, false},
    {nsds_ramp_enhanced_score, false},
    {weight_error_score},
    {importance_error_score},
    {target_bpw_score, false},
    {imatrix_energy_score},
    {imatrix_entropy_score},
    {imatrix_zd_score},
    {imatrix_cosine_score},
    {awq_loss_score},
    {awq_gain_score, false},
    {block_influence_score},
    {block_influence_rest_score, false},
    {block_influence_window_score, false},
    {norm_ratio_score},
    {stream_step_score, false},
    {unit_step_score, false},
    {lim_score},
    {lsaq_score},
    {made<taylor1_score>, false},
    {made<taylor1_absolute_score>},
    {made<taylor2_score>},
    {made<taylor2_true_fisher_score>, false},
    {made<taylor12_score>, false},
    {made<fisher_score>},
    {made<true_fisher_score>, false},
    {made<fisher_pruning_score>},
    {made<true_fisher_pruning_score>, false},
    {[]() -> std::unique_ptr<Score> { return llm_mq_score(2); }, false},
    {[]() -> std::unique_ptr<Score> { return llm_mq_score(4); }, false},
    {made<output_fisher_score>},
    {[]() -> std::unique_ptr<Score> { return std::make_unique<CurvatureScore>(); }},
    {made<qpsa_gradient_score>, false},
    {lieq_score, false},
    {super_weight_score, false},
    {stability_score, false},
    {stability_uncentred_score, false},
    // Those that take what the budget leaves come last.
    {delta_loss_score, false},
    {hessian_step_score, false},
    {hessian_layer_score, false},
    {pqi_of<PqiForm::kTotal>, false},
    {pqi_of<PqiForm::kSigned>, false},
    {pqi_of<PqiForm::kPerStep>, false},
    {pqi_of<PqiForm::kPerSequence>, false},
    {hawq_score, false},
    {measured_damage_score, false},
    {dequantize_one_score, false},
    {layer_removal_score, false},
    {half_removal_score, false},
    {[]() -> std::unique_ptr<Score> { return qpsa_level_score(); }, false},
    {[]() -> std::unique_ptr<Score> { return qpsa_byte_score(); }, false},
};

}  // namespace

ScoreInfo CurvatureScore::info() const {
  return {.name = "curvature",
          .what = "predicted KL of storing the matrix at the type, from one backward pass",
          .unit = "nats per token",
          .by_type = true,
          .needs_text = true,
          .needs_gradients = true,
          .source = "score/curvature.h; docs/numerics.md"};
}

std::vector<std::unique_ptr<Score>> all_scores() {
  std::vector<std::unique_ptr<Score>> scores;
  for (const Entry& entry : kEntries) scores.push_back(entry.make());
  return scores;
}

Result<std::vector<std::unique_ptr<Score>>> scores_named(const std::vector<std::string>& names) {
  const auto asks = [&](std::string_view name) { return std::find(names.begin(), names.end(), name) != names.end(); };
  std::vector<std::unique_ptr<Score>> scores;
  std::vector<std::string> known = {"all", "default"};
  for (const Entry& entry : kEntries) {
    std::unique_ptr<Score> score = entry.make();
    known.emplace_back(score->info().name);
    if (asks("all") || (asks("default") && entry.in_default) || asks(known.back())) scores.push_back(std::move(score));
  }
  for (const std::string& name : names)
    if (std::find(known.begin(), known.end(), name) == known.end())
      return fail(ErrorCode::kUsage, {"score", "there is none named " + printable(name), "one of " + join(known, ", "), ""});
  if (scores.empty()) return fail(ErrorCode::kUsage, "score: none is named");
  return scores;
}

}  // namespace assay
