#include "assay/job/task_runner.h"

#include <map>

#include "assay/base/payload.h"
#include "assay/base/sha256.h"
#include "assay/tasks/pack_items.h"
#include "assay/tasks/run_items.h"

namespace assay {
namespace {

constexpr uint64_t kRowsPerUnit = 8192;  // some seconds of a 0.5 B model on two cores

Result<std::vector<ItemScore>> scores_of(std::span<const TaskItem> items, const std::string& payload) {
  PayloadReader reader(payload);
  const std::vector<double> values = reader.reals();
  ASSAY_TRY(reader.finish());
  std::vector<ItemScore> scores;
  size_t next = 0;
  for (const TaskItem& item : items) {
    if (next + item.options() > values.size()) break;
    scores.push_back(score_item(item, std::span(values).subspan(next, item.options())));
    next += item.options();
  }
  if (scores.size() != items.size() || next != values.size())
    return fail(ErrorCode::kBadInput, "store: a finished unit has another number of options");
  return scores;
}

Result<std::string> run_unit(const Network& network, std::span<const EncodedItem> items, const RunItemsOptions& options) {
  ASSAY_ASSIGN(const auto values, run_items(network, items, options));
  std::vector<double> all;
  for (const std::vector<double>& item : values) all.insert(all.end(), item.begin(), item.end());
  PayloadWriter writer;
  writer.add(std::span<const double>(all), "log-likelihood");
  return std::move(writer).finish();
}

}  // namespace

Result<std::vector<OpenTask>> open_tasks(std::span<const std::string> paths, uint64_t limit, BosRule bos, const OpenModel& model) {
  std::vector<OpenTask> tasks;
  std::map<std::string, int> names;
  for (const std::string& path : paths) {
    OpenTask task;
    task.path = path;
    ASSAY_ASSIGN(task.file, read_tasks(path));
    task.items_in_file = task.file.items.size();
    if (limit > 0 && limit < task.file.items.size()) task.file.items.resize(limit);
    EncodeItemsOptions options;
    options.bos = bos;
    options.context = static_cast<uint64_t>(model.network->hyper().context);
    ASSAY_ASSIGN(task.items, encode_items(task.file.items, *model.tokenizer, path, options));
    task.clusters = clusters_of(task.file.items);
    if (const int used = names[task.file.name]++; used > 0) task.file.name += "-" + std::to_string(used + 1);
    tasks.push_back(std::move(task));
  }
  return tasks;
}

std::string fingerprint(std::span<const EncodedItem> items) {
  Sha256 hash;
  for (const EncodedItem& item : items) {
    hash.add(uint64_t{item.options.size()});
    for (const EncodedOption& option : item.options) {
      hash.add(uint64_t{option.tokens.size()});
      hash.add(uint64_t{option.scored_begin});
      hash.add(std::as_bytes(std::span(option.tokens)));
    }
  }
  return hash.hex();
}

Result<std::vector<ItemScore>> score_task(const OpenTask& task, const OpenModel& model, UnitStore& store, Progress& progress) {
  const std::span<const EncodedItem> items(task.items);
  std::vector<std::pair<size_t, size_t>> parts;  // first item, items
  for (size_t next = 0; next < items.size();) {
    uint64_t rows = 0;
    const size_t first = next;
    while (next < items.size() && (next == first || rows + packed_rows(items[next]) <= kRowsPerUnit)) rows += packed_rows(items[next++]);
    parts.emplace_back(first, next - first);
  }
  progress.stage(task.file.name, items.size());
  store.plan(parts.size());
  std::vector<ItemScore> scores;
  for (const auto& [first, count] : parts) {
    if (progress.interrupted()) return fail(ErrorCode::kInterrupted, "tasks: interrupted");
    const auto some = items.subspan(first, count);
    const auto units = store.units(store.key("task items").add("items", fingerprint(some)));
    ASSAY_ASSIGN(const std::string payload, find_or_make(*units, "log-likelihoods", [&] { return run_unit(*model.network, some, {}); }));
    ASSAY_ASSIGN(const std::vector<ItemScore> fresh, scores_of(std::span(task.file.items).subspan(first, count), payload));
    scores.insert(scores.end(), fresh.begin(), fresh.end());
    progress.update(scores.size());
  }
  return scores;
}

Result<std::vector<ItemScore>> score_task(const OpenTask& task, const OpenModel& model, const std::string& name,
                                          const ResolvedVariant& variant, const std::string& depends_on, UnitStore& store) {
  UnitKey key = store.key("task items of a variant");
  const auto units = store.units(key.add("items", fingerprint(task.items)).add("changes", depends_on));
  RunItemsOptions options;
  options.variant = &variant;
  ASSAY_ASSIGN(const std::string payload, find_or_make(*units, name, [&] { return run_unit(*model.network, task.items, options); }));
  return scores_of(task.file.items, payload);
}

}  // namespace assay
