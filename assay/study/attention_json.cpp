#include <nlohmann/json.hpp>

#include "assay/study/attention_result.h"
#include "assay/study/estimate_json.h"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

Json row_json(const AttentionRow& row) {
  const AttentionMode& mode = row.mode;
  Json json = {{"rule", mode.rule}, {"k", mode.k}, {"set", mode.set}, {"layers", mode.layers}};
  if (mode.head >= 0) json["head"] = mode.head;
  if (!mode.basis.empty()) json["basis"] = mode.basis;
  if (mode.basis == "random") json["draw"] = mode.draw;
  json["ppl"] = row.ppl;
  put(json, "ppl_change", row.ppl_change);
  put(json, "nll_difference", row.loss);
  put(json, "kl", row.kl);
  json["flip_rate"] = row.flip_rate;
  if (row.recovery) put(json, "recovery_percent", row.recovery);
  if (row.lead) put(json, "residual_lead", row.lead);
  if (row.kept) json["energy_kept"] = *row.kept;
  if (row.kept_fitted) json["energy_kept_fitted"] = *row.kept_fitted;
  return json;
}

Json cost_json(const DecoderCost& cost) { return {{"bytes_read", cost.bytes}, {"flops", cost.flops}, {"cache_bytes", cost.cache}}; }

Json map_json(const AttentionResult& result) {
  Json heads = Json::array(), layers = Json::array(), predictions = Json::array();
  for (const HeadCrystallisation& one : result.heads_map)
    heads.push_back({{"layer", one.layer}, {"head", one.head}, {"ratio", one.ratio}, {"margin", one.margin}, {"stability", one.stability}});
  for (const LayerCrystallisation& one : result.layers_map) {
    Json json = {{"layer", one.layer},
                 {"ratio", one.ratio},
                 {"margin", one.margin},
                 {"stability", one.stability},
                 {"crystallised", one.crystallised}};
    put(json, "top1_loss", one.loss);
    layers.push_back(std::move(json));
  }
  for (const AttentionPrediction& one : result.predictions) {
    Json json = {{"predictor", one.predictor}, {"over", one.over}, {"n", one.n}};
    put(json, "rho", one.rho);
    json["smallest_detectable"] = one.detectable;
    predictions.push_back(std::move(json));
  }
  return {{"heads", std::move(heads)}, {"layers", std::move(layers)}, {"predictions", std::move(predictions)}};
}

Json verdict_json(const AttentionVerdict& verdict) {
  return {{"published", verdict.published_yes ? "yes" : "partial"},
          {"published_rank", verdict.published_rank},
          {"published_recovery_percent", verdict.published_recovery},
          {"ours", verdict.ours},
          {"rank", or_null(verdict.rank)},
          {"compared_rank", verdict.compared_rank},
          {"beats_random", or_null(verdict.beats_random)},
          {"beats_values", or_null(verdict.beats_values)},
          {"sentence", verdict.sentence}};
}

}  // namespace

Json to_json(const AttentionResult& result) {
  Json rows = Json::array(), spectra = Json::array(), budgets = Json::array(), savings = Json::array();
  for (const AttentionRow& row : result.rows) rows.push_back(row_json(row));
  for (const AttentionSpectrum& one : result.spectra)
    spectra.push_back({{"layer", one.layer},
                       {"head", one.head},
                       {"r90", one.r90},
                       {"participation_ratio", one.participation},
                       {"cumulative", one.cumulative}});
  for (const AttentionBudget& one : result.budgets)
    budgets.push_back({{"rule", one.rule}, {"k", one.k}, {"ppl_change", one.budget}, {"layers", one.layers}});
  for (const AttentionSaving& one : result.savings)
    savings.push_back({{"rule", one.rule}, {"k", one.k}, {"full", cost_json(one.full)}, {"replaced", cost_json(one.replaced)}});
  Json json = {{"study", "attention"},
               {"layers", result.layers},
               {"heads", result.heads},
               {"kv_heads", result.kv_heads},
               {"head_dim", result.head_dim},
               {"chosen_layers", result.chosen},
               {"tokens_scored", result.tokens_scored},
               {"windows", result.windows},
               {"documents", result.documents},
               {"basis_windows", result.basis_windows},
               {"basis_from", result.basis_from},
               {"diagnostic_windows", result.diagnostic_windows},
               {"interval", result.interval},
               {"base_ppl", result.base_ppl},
               {"noise_floor", result.noise_floor},
               {"forward_equivalents", result.forward_equivalents},
               {"rows", std::move(rows)},
               {"spectra", std::move(spectra)},
               {"crystallisation", map_json(result)},
               {"budgets", std::move(budgets)},
               {"decoder_context", result.decoder_context},
               {"savings", std::move(savings)},
               {"verdict", verdict_json(result.verdict)}};
  put(json, result);
  return json;
}

}  // namespace assay
