// Criteria as a study's config states them, and the hash that is kept before the first measurement. Torch-free.
// Non-goals: judging (verdict.h).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "assay/file/json_object.h"
#include "assay/study/verdict.h"

namespace assay {

// The list under `key`, each {name, statistic, below or at_least}. Not given: `criteria` stays.
Status read_criteria(const JsonObject& object, std::string_view key, std::vector<Criterion>& criteria);
// SHA-256 over names, statistics, rules and thresholds: criteria changed after the first measurement are known as such.
std::string hash_of(std::span<const Criterion> criteria);
// {name, statistic, below or at_least, outcome, value, ci95}.
nlohmann::ordered_json to_json(const Verdict& verdict);

}  // namespace assay
