// Values, intervals and what may be missing, as the studies write them into JSON: NAME and NAME_ci95, null for what is not there.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "assay/study/estimate.h"

namespace assay {

template <class Value>
nlohmann::ordered_json or_null(const std::optional<Value>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
}

// [low, high].
nlohmann::ordered_json bounds(const Interval& interval);
nlohmann::ordered_json bounds(const std::optional<std::pair<double, double>>& interval);

void put(nlohmann::ordered_json& json, const std::string& name, const Interval& interval);
void put(nlohmann::ordered_json& json, const std::string& name, const std::optional<Estimate>& estimate);

}  // namespace assay
