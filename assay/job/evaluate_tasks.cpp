#include "assay/job/evaluate_tasks.h"

#include <algorithm>

#include "assay/job/task_runner.h"
#include "assay/tasks/pack_items.h"

namespace assay {
namespace {

// Item scores of both models, in the order of the items.
struct Scores {
  std::vector<ItemScore> model, base;
  std::vector<uint32_t> clusters;
};

void conclude(const Scores& scores, uint64_t seed, EvaluatedTask& task) {
  BootstrapOptions bootstrap;
  bootstrap.seed = seed;
  task.score = summarize(scores.model, scores.clusters, bootstrap);
  if (scores.base.empty()) return;
  task.base = summarize(scores.base, scores.clusters, bootstrap);
  task.comparison = compare(scores.base, scores.model, scores.clusters, bootstrap);
}

EvaluatedTask described(const OpenTask& open) {
  EvaluatedTask task;
  task.name = open.file.name;
  task.file = open.path;
  task.sha256 = open.file.sha256;
  task.form = open.file.form;
  task.items_in_file = open.items_in_file;
  for (const EncodedItem& item : open.items) {
    task.truncated += item.truncated();
    task.packed_rows += packed_rows(item);
    task.separate_rows += separate_rows(item);
  }
  return task;
}

Result<std::vector<std::vector<ItemScore>>> run(const std::vector<OpenTask>& tasks, const OpenModel& model, const RunSettings& settings,
                                                Progress& progress, UnitCounts& counts) {
  ASSAY_ASSIGN(UnitStore store, UnitStore::open(settings, model, progress));
  std::vector<std::vector<ItemScore>> scores;
  for (const OpenTask& task : tasks) {
    ASSAY_ASSIGN(std::vector<ItemScore> one, score_task(task, model, store, progress));
    scores.push_back(std::move(one));
  }
  const UnitCounts own = store.counts();
  counts.found += own.found;
  counts.made += own.made;
  counts.planned += own.planned;
  return scores;
}

// The items of all tasks as one: clusters stay apart.
Scores pooled(const std::vector<Scores>& tasks) {
  Scores all;
  uint32_t first = 0;
  for (const Scores& task : tasks) {
    all.model.insert(all.model.end(), task.model.begin(), task.model.end());
    all.base.insert(all.base.end(), task.base.begin(), task.base.end());
    for (const uint32_t cluster : task.clusters) all.clusters.push_back(first + cluster);
    first += *std::ranges::max_element(task.clusters) + 1;
  }
  return all;
}

}  // namespace

Result<EvaluateTasksResult> evaluate_tasks(const EvaluateTasksOptions& options, const RunSettings& settings, Progress& progress) {
  apply_settings(settings);
  EvaluateTasksResult result;
  std::vector<OpenTask> tasks;
  std::vector<Scores> scores;
  {
    ASSAY_ASSIGN(const OpenModel model, open_model(options.model, settings, progress));
    ASSAY_ASSIGN(tasks, open_tasks(options.tasks, options.limit, options.bos, model));
    ASSAY_ASSIGN(auto own, run(tasks, model, settings, progress, result.units));
    for (size_t t = 0; t < tasks.size(); ++t) scores.push_back({std::move(own[t]), {}, tasks[t].clusters});
  }
  if (!options.base.empty()) {
    ASSAY_ASSIGN(const OpenModel base, open_model(options.base, settings, progress));
    // Each model reads the items with its own tokenizer and context: choices are compared, not tokens.
    ASSAY_ASSIGN(const std::vector<OpenTask> again, open_tasks(options.tasks, options.limit, options.bos, base));
    ASSAY_ASSIGN(auto own, run(again, base, settings, progress, result.units));
    for (size_t t = 0; t < tasks.size(); ++t) scores[t].base = std::move(own[t]);
  }
  for (size_t t = 0; t < tasks.size(); ++t) {
    EvaluatedTask task = described(tasks[t]);
    conclude(scores[t], settings.seed, task);
    result.tasks.push_back(std::move(task));
  }
  if (tasks.size() > 1) {
    EvaluatedTask all;
    all.name = "all";
    for (const EvaluatedTask& task : result.tasks) {
      all.items_in_file += task.items_in_file;
      all.truncated += task.truncated;
      all.packed_rows += task.packed_rows;
      all.separate_rows += task.separate_rows;
    }
    conclude(pooled(scores), settings.seed, all);
    result.all = std::move(all);
  }
  return result;
}

}  // namespace assay
