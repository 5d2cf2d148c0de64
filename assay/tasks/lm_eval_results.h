// Task results under the keys of lm-evaluation-harness's results file, so that what reads those reads these. Torch-free.
// Non-goals: reading such files; samples; the harness's task versions (a local file of items has none: 0).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

#include "assay/tasks/task_score.h"

namespace assay {

struct LmEvalTask {
  std::string name, file, sha256;
  TaskForm form = TaskForm::kChoices;
  uint64_t items_in_file = 0;
  TaskScore score;
};

// {"results": {task: {"acc,none": .., "acc_stderr,none": .., ..}}, "group_subtasks", "configs", "versions", "n-shot", "higher_is_better",
// "n-samples", "config", ..}. acc_norm and acc_bytes only where options differ in what is scored. `bos`: "tokenizer", "always", "never".
nlohmann::ordered_json lm_eval_results(std::span<const LmEvalTask> tasks, const std::string& model, const std::string& bos);

}  // namespace assay
