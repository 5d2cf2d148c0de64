// What every study ends in: statistics, criteria judged by them, one outcome and notes. Torch-free.
// Non-goals: what is measured (a study's own result derives from this).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "assay/study/verdict.h"

namespace assay {

struct StudyConclusion {
  std::vector<Statistic> statistics;
  std::vector<Verdict> verdicts;
  Outcome outcome = Outcome::kNotMeasured;
  std::string criteria_hash;  // of those that were judged by
  bool post_hoc = false;      // they changed after the first unit
  std::vector<std::string> notes;
};

// Verdicts and outcome from the statistics.
void judge(StudyConclusion& conclusion, std::span<const Criterion> criteria);

// Appends statistics, verdicts, outcome, criteria_sha256, post_hoc, notes.
void put(nlohmann::ordered_json& json, const StudyConclusion& conclusion);

}  // namespace assay
