#include "assay/study/estimate_json.h"

namespace assay {

using Json = nlohmann::ordered_json;

Json bounds(const Interval& interval) { return Json::array({interval.low, interval.high}); }

Json bounds(const std::optional<std::pair<double, double>>& interval) {
  return interval ? Json::array({interval->first, interval->second}) : Json();
}

void put(Json& json, const std::string& name, const Interval& interval) {
  json[name] = interval.value;
  json[name + "_ci95"] = bounds(interval);
}

void put(Json& json, const std::string& name, const std::optional<Estimate>& estimate) {
  json[name] = estimate ? Json(estimate->value) : Json();
  json[name + "_ci95"] = estimate ? bounds(estimate->interval) : Json();
}

}  // namespace assay
