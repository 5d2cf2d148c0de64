#include <nlohmann/json.hpp>

#include "assay/study/estimate_json.h"
#include "assay/study/proxies_result.h"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

Json estimate(const std::optional<RankEstimate>& one) {
  if (!one) return {};
  return {{"value", one->value}, {"ci95_items", bounds(one->over_items)}, {"ci95_variants", bounds(one->over_variants)}};
}

Json variant_json(const ProxyVariant& variant) {
  Json proxies = Json::object(), outcomes = Json::object();
  for (size_t p = 0; p < kProxies; ++p) proxies[std::string(name_of(static_cast<Proxy>(p)))] = variant.proxies[p];
  for (size_t o = 0; o < kTaskOutcomes; ++o)
    outcomes[std::string(name_of(static_cast<TaskOutcome>(o)))] = {{"value", variant.outcomes[o]},
                                                                   {"ci95", {variant.intervals[o].low, variant.intervals[o].high}}};
  return {{"name", variant.name},
          {"kind", variant.kind},
          {"recipe", variant.recipe},
          {"proxies", std::move(proxies)},
          {"outcomes", std::move(outcomes)},
          {"margin_drop_by_task", variant.margin_by_task}};
}

}  // namespace

Json to_json(const ProxiesResult& result) {
  Json tasks = Json::array(), variants = Json::array(), correlations = Json::array(), claims = Json::array();
  for (size_t t = 0; t < result.tasks.size(); ++t)
    tasks.push_back({{"name", result.tasks[t]},
                     {"items", result.items[t]},
                     {"base_acc", result.base_accuracy[t]},
                     {"base_margin", result.base_margin[t]}});
  for (const ProxyVariant& variant : result.variants) variants.push_back(variant_json(variant));
  for (const ProxyCorrelation& one : result.correlations)
    correlations.push_back({{"proxy", name_of(one.proxy)},
                            {"outcome", name_of(one.outcome)},
                            {"group", name_of(one.group)},
                            {"spearman", estimate(one.spearman)},
                            {"kendall", estimate(one.kendall)},
                            {"together", bounds(one.together)}});
  for (const ProxyClaim& one : result.claims) {
    Json predicting = Json::array();
    for (const Proxy proxy : one.predicting) predicting.push_back(name_of(proxy));
    claims.push_back({{"outcome", name_of(one.outcome)},
                      {"group", name_of(one.group)},
                      {"variants", one.variants},
                      {"smallest_detectable_rho", one.smallest_detectable},
                      {"reliability", one.reliability ? Json(*one.reliability) : Json()},
                      {"verdict", name_of(one.verdict)},
                      {"predicting", std::move(predicting)}});
  }
  return {{"study", "proxies"},
          {"claim", "proxies do not predict tasks"},
          {"predicts", result.predicts},
          {"verdict", name_of(result.verdict)},
          {"post_hoc", result.post_hoc},
          {"tasks", std::move(tasks)},
          {"item_tokens", result.item_tokens},
          {"tokens_scored", result.tokens_scored},
          {"windows", result.windows},
          {"noise_floor", result.noise_floor},
          {"claims", std::move(claims)},
          {"correlations", std::move(correlations)},
          {"variants", std::move(variants)},
          {"notes", result.notes}};
}

}  // namespace assay
