#include <nlohmann/json.hpp>

#include "assay/study/criterion_io.h"
#include "assay/study/qpsa_result.h"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

Json optional(const std::optional<double>& value) { return value ? Json(*value) : Json(); }
Json pair(const std::optional<std::pair<double, double>>& value) { return value ? Json::array({value->first, value->second}) : Json(); }

Json method_json(const QpsaMethod& method) {
  Json ranks = Json::array();
  for (const RankInterval& rank : method.ranks) ranks.push_back({rank.low, rank.high});
  return {{"name", method.name},
          {"scores", method.scores},
          {"standard_errors", method.errors},
          {"ranking", method.ranking},
          {"rank_ci95", std::move(ranks)},
          {"split_half", method.split_half ? Json(method.split_half->rho) : Json()},
          {"split_half_ci95", method.split_half ? pair(method.split_half->interval) : Json()},
          {"forward_equivalents", method.forward_equivalents}};
}

}  // namespace

Json to_json(const QpsaResult& result) {
  Json json = {{"layers", result.layers},
               {"base_ppl", result.base_ppl},
               {"tokens_scored", result.tokens_scored},
               {"samples_per_matrix", result.samples},
               {"non_finite", result.non_finite}};
  Json methods = Json::array(), correlations = Json::array(), pruning = Json::array(), loops = Json::array(), convergence = Json::array(),
       regions = Json::array(), statistics = Json::array(), verdicts = Json::array();
  for (const QpsaMethod& method : result.methods) methods.push_back(method_json(method));
  for (const auto& [name, one] : result.correlations)
    correlations.push_back({{"of", name}, {"rho", one.rho}, {"ci95", pair(one.interval)}, {"apart_from_zero", one.apart_from_zero()}});
  for (const QpsaPruning& one : result.pruning)
    pruning.push_back({{"method", one.method},
                       {"k", one.k},
                       {"ppl_ratio", one.ppl_ratio},
                       {"quartiles", pair(one.quartiles)},
                       {"left_out", one.left_out}});
  for (const QpsaLoop& one : result.loops)
    loops.push_back({{"form", one.form},
                     {"first", one.first},
                     {"last", one.last},
                     {"times", one.times},
                     {"gamma", one.gamma},
                     {"ln_ppl_ratio", one.nll_difference}});
  for (const QpsaConvergence& one : result.convergence)
    convergence.push_back({{"method", one.method},
                           {"samples_per_matrix", one.samples},
                           {"rho_to_largest", optional(one.rho_to_largest)},
                           {"split_half", optional(one.split_half)},
                           {"mean_relative_error", one.mean_relative_error},
                           {"same_top_4", one.same_top_4},
                           {"same_bottom_5", one.same_bottom_5}});
  for (const QpsaRegion& one : result.regions)
    regions.push_back({{"type", one.type},
                       {"region", one.region},
                       {"bytes", one.bytes},
                       {"non_finite", one.non_finite},
                       {"mean_effect", one.mean_effect},
                       {"share_of_score", one.share_of_score},
                       {"share_of_bytes", one.share_of_bytes},
                       {"mean_weights_changed", one.mean_weights_changed}});
  for (const Statistic& one : result.statistics)
    statistics.push_back({{"name", one.name}, {"value", one.value}, {"ci95", pair(one.interval)}});
  for (const Verdict& verdict : result.verdicts) verdicts.push_back(to_json(verdict));
  json["methods"] = std::move(methods);
  json["correlations"] = std::move(correlations);
  json["pruning"] = std::move(pruning);
  json["loops"] = std::move(loops);
  json["convergence"] = std::move(convergence);
  json["regions"] = std::move(regions);
  json["shortcut"] = Json();
  if (const auto& s = result.shortcut)
    json["shortcut"] = {{"weights_compared", s->weights_compared},
                        {"weights_scored", s->weights_scored},
                        {"rho_weights", optional(s->rho_weights)},
                        {"sum_ratio", s->sum_ratio},
                        {"second_order_share", s->second_order_share},
                        {"rho_layers_same_samples", optional(s->rho_layers_same)},
                        {"rho_layers_sampled_with_all", optional(s->rho_layers_all)},
                        {"scores", s->scores},
                        {"forward_equivalents", s->forward_equivalents},
                        {"naive_forward_equivalents", s->naive_forward_equivalents}};
  json["quadrants"] = result.quadrants;
  json["statistics"] = std::move(statistics);
  json["verdicts"] = std::move(verdicts);
  json["outcome"] = name_of(result.outcome);
  json["criteria_sha256"] = result.criteria_hash;
  json["post_hoc"] = result.post_hoc;
  json["notes"] = result.notes;
  return json;
}

}  // namespace assay
