// Criteria written down before a run and what they say afterwards. A criterion has a threshold for one statistic; with an interval that
// holds the threshold it is inconclusive. Torch-free.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace assay {

enum class Outcome : uint8_t { kPassed, kFailed, kInconclusive, kNotMeasured };
std::string_view name_of(Outcome outcome);  // "passed", "failed", "inconclusive", "not measured"

struct Criterion {
  enum class Rule : uint8_t { kBelow, kAtLeast };
  std::string name;       // of the criterion
  std::string statistic;  // what it is about, one of those the study measures
  Rule rule = Rule::kBelow;
  double threshold = 0;
};

struct Statistic {
  std::string name;
  double value = 0;
  std::optional<std::pair<double, double>> interval;
};

struct Verdict {
  Criterion criterion;
  std::optional<Statistic> measured;
  Outcome outcome = Outcome::kNotMeasured;
};

Verdict judge(const Criterion& criterion, const std::vector<Statistic>& statistics);
// Failed if one failed; else inconclusive if one is, or is not measured; else passed.
Outcome overall(const std::vector<Verdict>& verdicts);

}  // namespace assay
