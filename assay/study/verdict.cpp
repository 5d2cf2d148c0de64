#include "assay/study/verdict.h"

#include <algorithm>
#include <cstdint>

namespace assay {

std::string_view name_of(Outcome outcome) {
  constexpr std::string_view kNames[] = {"passed", "failed", "inconclusive", "not measured"};
  return kNames[static_cast<size_t>(outcome)];
}

Verdict judge(const Criterion& criterion, const std::vector<Statistic>& statistics) {
  Verdict verdict{criterion, {}, Outcome::kNotMeasured};
  const auto found = std::find_if(statistics.begin(), statistics.end(), [&](const Statistic& s) { return s.name == criterion.statistic; });
  if (found == statistics.end()) return verdict;
  verdict.measured = *found;
  const auto holds = [&](double value) {
    return criterion.rule == Criterion::Rule::kBelow ? value < criterion.threshold : value >= criterion.threshold;
  };
  if (!found->interval) {
    verdict.outcome = holds(found->value) ? Outcome::kPassed : Outcome::kFailed;
  } else if (holds(found->interval->first) != holds(found->interval->second)) {
    verdict.outcome = Outcome::kInconclusive;
  } else {
    verdict.outcome = holds(found->interval->first) ? Outcome::kPassed : Outcome::kFailed;
  }
  return verdict;
}

Outcome overall(const std::vector<Verdict>& verdicts) {
  const auto any = [&](Outcome outcome) {
    return std::any_of(verdicts.begin(), verdicts.end(), [&](const Verdict& verdict) { return verdict.outcome == outcome; });
  };
  if (any(Outcome::kFailed)) return Outcome::kFailed;
  return any(Outcome::kInconclusive) || any(Outcome::kNotMeasured) || verdicts.empty() ? Outcome::kInconclusive : Outcome::kPassed;
}

}  // namespace assay
