// Task accuracy of a model, and against a base (`assay eval --tasks`). Torch-free header.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "assay/base/progress.h"
#include "assay/base/result.h"
#include "assay/job/settings.h"
#include "assay/tasks/encode_items.h"
#include "assay/tasks/task_score.h"

namespace assay {

struct EvaluateTasksOptions {
  std::string model;
  std::string base;                // empty: none
  std::vector<std::string> tasks;  // files
  uint64_t limit = 0;              // the first items of each file; 0: all
  BosRule bos = BosRule::kTokenizer;
};

struct EvaluatedTask {
  std::string name, file, sha256;
  TaskForm form = TaskForm::kChoices;
  uint64_t items_in_file = 0, truncated = 0;    // truncated: items with an option that was cut to the context
  uint64_t packed_rows = 0, separate_rows = 0;  // tokens run, and what each option alone would have run
  TaskScore score;
  std::optional<TaskScore> base;
  std::optional<TaskComparison> comparison;
};

struct EvaluateTasksResult {
  std::vector<EvaluatedTask> tasks;
  std::optional<EvaluatedTask> all;  // the items of all files, where there are several
  UnitCounts units;
};

Result<EvaluateTasksResult> evaluate_tasks(const EvaluateTasksOptions& options, const RunSettings& settings, Progress& progress);

}  // namespace assay
