#include "assay/study/criterion_io.h"

#include <nlohmann/json.hpp>

#include "assay/base/sha256.h"

namespace assay {
namespace {

using nlohmann::json;
constexpr size_t kMostCriteria = 1000, kLongestName = 200;

Result<Criterion> parse_criterion(const json& node, const JsonPlace& place) {
  constexpr std::string_view kKeys[] = {"name", "statistic", "below", "at_least"};
  ASSAY_ASSIGN(const JsonObject object, JsonObject::open(node, place, kKeys));
  Criterion criterion;
  ASSAY_ASSIGN(criterion.name, object.text("name", kLongestName));
  ASSAY_ASSIGN(criterion.statistic, object.text("statistic", kLongestName));
  if (object.has("below") == object.has("at_least")) return place.refuse("has both or neither of below and at_least", "one of them");
  criterion.rule = object.has("below") ? Criterion::Rule::kBelow : Criterion::Rule::kAtLeast;
  ASSAY_ASSIGN(criterion.threshold, object.real(object.has("below") ? "below" : "at_least", -1e12, 1e12));
  return criterion;
}

}  // namespace

Status read_criteria(const JsonObject& object, std::string_view key, std::vector<Criterion>& criteria) {
  if (!object.has(key)) return {};
  ASSAY_ASSIGN(const json* list, object.list(key, 0, kMostCriteria));
  criteria.clear();
  for (size_t i = 0; i < list->size(); ++i) {
    ASSAY_ASSIGN(Criterion criterion, parse_criterion((*list)[i], object.place(key).item(i)));
    criteria.push_back(std::move(criterion));
  }
  return {};
}

std::string hash_of(std::span<const Criterion> criteria) {
  Sha256 hash;
  for (const Criterion& one : criteria)
    hash.add(one.name + '|' + one.statistic + '|' + (one.rule == Criterion::Rule::kBelow ? "<" : ">=") + std::to_string(one.threshold) +
             ';');
  return hash.hex();
}

nlohmann::ordered_json to_json(const Verdict& verdict) {
  using Json = nlohmann::ordered_json;
  Json json = {{"name", verdict.criterion.name},
               {"statistic", verdict.criterion.statistic},
               {verdict.criterion.rule == Criterion::Rule::kBelow ? "below" : "at_least", verdict.criterion.threshold},
               {"outcome", name_of(verdict.outcome)}};
  json["value"] = verdict.measured ? Json(verdict.measured->value) : Json();
  json["ci95"] = verdict.measured && verdict.measured->interval
                     ? Json::array({verdict.measured->interval->first, verdict.measured->interval->second})
                     : Json();
  return json;
}

}  // namespace assay
