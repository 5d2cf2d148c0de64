#include <nlohmann/json.hpp>

#include "assay/study/estimate_json.h"
#include "assay/study/qpsa_result.h"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

Json method_json(const QpsaMethod& method) {
  Json ranks = Json::array();
  for (const RankInterval& rank : method.ranks) ranks.push_back({rank.low, rank.high});
  return {{"name", method.name},
          {"scores", method.scores},
          {"standard_errors", method.errors},
          {"ranking", method.ranking},
          {"rank_ci95", std::move(ranks)},
          {"split_half", method.split_half ? Json(method.split_half->rho) : Json()},
          {"split_half_ci95", method.split_half ? bounds(method.split_half->interval) : Json()},
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
       regions = Json::array();
  for (const QpsaMethod& method : result.methods) methods.push_back(method_json(method));
  for (const auto& [name, one] : result.correlations)
    correlations.push_back({{"of", name}, {"rho", one.rho}, {"ci95", bounds(one.interval)}, {"apart_from_zero", one.apart_from_zero()}});
  for (const QpsaPruning& one : result.pruning)
    pruning.push_back({{"method", one.method},
                       {"k", one.k},
                       {"ppl_ratio", one.ppl_ratio},
                       {"quartiles", bounds(one.quartiles)},
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
                           {"rho_to_largest", or_null(one.rho_to_largest)},
                           {"split_half", or_null(one.split_half)},
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
                        {"rho_weights", or_null(s->rho_weights)},
                        {"sum_ratio", s->sum_ratio},
                        {"second_order_share", s->second_order_share},
                        {"rho_layers_same_samples", or_null(s->rho_layers_same)},
                        {"rho_layers_sampled_with_all", or_null(s->rho_layers_all)},
                        {"scores", s->scores},
                        {"forward_equivalents", s->forward_equivalents},
                        {"naive_forward_equivalents", s->naive_forward_equivalents}};
  json["quadrants"] = result.quadrants;
  put(json, result);
  return json;
}

}  // namespace assay
