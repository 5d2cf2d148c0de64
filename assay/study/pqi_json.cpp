#include <nlohmann/json.hpp>

#include "assay/study/estimate_json.h"
#include "assay/study/pqi_result.h"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

Json orders_json(const PqiOrders& row) {
  Json json = {{"name", row.name}, {"elements", row.elements}};
  put(json, "first", row.first);
  put(json, "second", row.second);
  json["second_error"] = row.second_error;
  json["fisher"] = row.fisher;
  put(json, "change", row.change);
  put(json, "share", row.share);
  json["contribution"] = row.contribution;
  return json;
}

Json type_json(const PqiOfType& one) {
  Json layers = Json::array(), steps = Json::array(), closure = Json::array(), matrices = Json::array(), coverage = Json::array(),
       agreements = Json::array();
  for (const PqiOrders& row : one.layers) layers.push_back(orders_json(row));
  for (const PqiStep& step : one.steps) {
    Json json = {{"lambda", step.lambda}};
    put(json, "change", step.change);
    json["first"] = step.first;
    json["second"] = step.second;
    put(json, "curvature", step.curvature);
    steps.push_back(std::move(json));
  }
  for (const PqiClosure& row : one.closure) {
    Json json = {{"rule", row.rule}, {"intervals", row.intervals}, {"points", row.points}};
    put(json, "predicted", row.predicted);
    put(json, "error", row.error);
    closure.push_back(std::move(json));
  }
  for (const PqiMatrix& row : one.matrices)
    matrices.push_back({{"name", row.name},
                        {"role", row.role},
                        {"layer", row.layer},
                        {"elements", row.elements},
                        {"contribution", row.contribution},
                        {"abs_total", row.abs_total},
                        {"abs_per_step", row.abs_per_step},
                        {"abs_per_sequence", row.abs_per_sequence}});
  for (const PqiCoverage& row : one.coverage) coverage.push_back({{"top", row.top}, {"share", row.share}});
  for (const PqiAgreement& row : one.agreements) {
    Json overlaps = Json::array();
    for (const auto& [top, share] : row.overlaps) overlaps.push_back({{"top", top}, {"share", share}});
    agreements.push_back({{"measure", row.measure},
                          {"with", row.with},
                          {"spearman", row.spearman ? Json(*row.spearman) : Json()},
                          {"overlaps", std::move(overlaps)}});
  }
  return {{"type", one.type},
          {"elements", one.elements},
          {"sampled", one.sampled},
          {"loss_before", one.loss_before},
          {"loss_after", one.loss_after},
          {"all", orders_json(one.all)},
          {"layers", std::move(layers)},
          {"steps", std::move(steps)},
          {"closure", std::move(closure)},
          {"matrices", std::move(matrices)},
          {"coverage", std::move(coverage)},
          {"agreements", std::move(agreements)}};
}

}  // namespace

Json to_json(const PqiStudyResult& result) {
  Json types = Json::array();
  for (const PqiOfType& one : result.types) types.push_back(type_json(one));
  Json json = {{"study", "pqi"},
               {"tokens_scored", result.tokens_scored},
               {"windows", result.windows},
               {"documents", result.documents},
               {"interval", result.interval},
               {"rule", result.rule},
               {"intervals", result.intervals},
               {"types", std::move(types)}};
  put(json, result);
  return json;
}

}  // namespace assay
