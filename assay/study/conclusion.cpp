#include "assay/study/conclusion.h"

#include <nlohmann/json.hpp>

#include "assay/study/criterion_io.h"
#include "assay/study/estimate_json.h"

namespace assay {

void judge(StudyConclusion& conclusion, std::span<const Criterion> criteria) {
  conclusion.verdicts.clear();
  for (const Criterion& criterion : criteria) conclusion.verdicts.push_back(judge(criterion, conclusion.statistics));
  conclusion.outcome = overall(conclusion.verdicts);
}

void put(nlohmann::ordered_json& json, const StudyConclusion& conclusion) {
  using Json = nlohmann::ordered_json;
  Json statistics = Json::array(), verdicts = Json::array();
  for (const Statistic& one : conclusion.statistics)
    statistics.push_back({{"name", one.name}, {"value", one.value}, {"ci95", bounds(one.interval)}});
  for (const Verdict& verdict : conclusion.verdicts) verdicts.push_back(to_json(verdict));
  json["statistics"] = std::move(statistics);
  json["verdicts"] = std::move(verdicts);
  json["outcome"] = name_of(conclusion.outcome);
  json["criteria_sha256"] = conclusion.criteria_hash;
  json["post_hoc"] = conclusion.post_hoc;
  json["notes"] = conclusion.notes;
}

}  // namespace assay
