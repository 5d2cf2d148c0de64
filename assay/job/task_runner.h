// The items of task files under one model and its variants, in units that are kept. Internal to job/.
#pragma once

#include <string>
#include <vector>

#include "assay/job/unit_store.h"
#include "assay/probe/sweep.h"
#include "assay/tasks/encode_items.h"
#include "assay/tasks/task_score.h"

namespace assay {

// A file's items, ready to run.
struct OpenTask {
  std::string path;
  TaskFile file;  // the first items, if there is a limit
  uint64_t items_in_file = 0;
  std::vector<EncodedItem> items;
  std::vector<uint32_t> clusters;
};

// Each file once. Two files of one name get "-2" behind the second's.
Result<std::vector<OpenTask>> open_tasks(std::span<const std::string> paths, uint64_t limit, BosRule bos, const OpenModel& model);

// What the log-likelihoods of these items depend on besides the model: tokens and which of them are scored.
std::string fingerprint(std::span<const EncodedItem> items);

// Scores of a task's items. Units: some dozens of items (without a variant), or all (with one; `name`: equal names, equal changes).
Result<std::vector<ItemScore>> score_task(const OpenTask& task, const OpenModel& model, UnitStore& store, Progress& progress);
Result<std::vector<ItemScore>> score_task(const OpenTask& task, const OpenModel& model, const std::string& name,
                                          const ResolvedVariant& variant, const std::string& depends_on, UnitStore& store);

}  // namespace assay
