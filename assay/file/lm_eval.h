// Task scores from results files of lm-evaluation-harness, so that they can stand beside what is measured here:
//   {"results": {TASK: {"acc,none": 0.5, "acc_stderr,none": 0.01, ...}}, "n-samples": {TASK: {"original", "effective"}}, "n-shot": {TASK:
//   0},
//    "versions": {TASK: 1.0}, "config": {"model", "model_args"}, "model_name"}
// Older files name metrics without a filter ("acc"). Untrusted input: every fault is kBadInput and names the place. What is not a metric
// (aliases, sample lists) is read past. Non-goals: running tasks, samples, comparing models.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"

namespace assay {

struct LmEvalScore {
  std::string task, metric;  // "hellaswag", "acc_norm"
  std::string filter;        // "none", "strict-match"; empty: the file has none
  double value = 0;
  std::optional<double> standard_error;  // the harness's own
  std::optional<uint64_t> samples, shots;
  std::string version;  // of the task; empty: unknown
};

struct LmEvalResults {
  std::string model;                // as the file names it; empty: unknown
  std::vector<LmEvalScore> scores;  // by task, metric, filter
};

// `who` opens every message: the file's name. kBadInput: no JSON, deeper than 100 levels, no "results", a metric or an error that is no
// finite number, a negative error, counts that are no whole numbers.
Result<LmEvalResults> parse_lm_eval(std::string_view text, const std::string& who);

}  // namespace assay
