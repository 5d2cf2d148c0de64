#include "cli/eval_tasks.h"

#include <fmt/format.h>

#include <filesystem>

#include "assay/base/text.h"
#include "assay/file/atomic_writer.h"
#include "assay/tasks/lm_eval_results.h"
#include "cli/table.h"

namespace assay::cli {
namespace {

constexpr const char* kBosNames[] = {"tokenizer", "always", "never"};

bool has_norms(const EvaluatedTask& task) { return task.form != TaskForm::kPartial; }
std::string percent(double share) { return fmt::format("{:.2f}", 100 * share); }
std::string percent_interval(const Interval& interval) { return fmt::format("[{:.2f}, {:.2f}]", 100 * interval.low, 100 * interval.high); }
std::string signed_interval(const Interval& interval) { return fmt::format("[{:+.4f}, {:+.4f}]", interval.low, interval.high); }

Json mean_json(const Mean& mean) {
  return {{"value", mean.value}, {"standard_error", mean.standard_error}, {"ci95", interval_json(mean.interval)}};
}

Json score_json(const TaskScore& score, bool norms) {
  Json json = {{"items", score.items}, {"clusters", score.clusters}};
  for (const OptionNorm norm : kOptionNorms)
    if (norms || norm == OptionNorm::kNone) json[std::string(name_of(norm))] = mean_json(score.accuracy[static_cast<size_t>(norm)]);
  json["margin"] = mean_json(score.margin);
  json["margin_per_byte"] = mean_json(score.margin_per_byte);
  return json;
}

Json comparison_json(const TaskComparison& comparison, bool norms) {
  Json json = {{"items", comparison.items}};
  for (const OptionNorm norm : kOptionNorms) {
    if (!norms && norm != OptionNorm::kNone) continue;
    const auto n = static_cast<size_t>(norm);
    const McNemar& test = comparison.test[n];
    json[std::string(name_of(norm))] = {
        {"change", mean_json(comparison.accuracy_change[n])},
        {"only_base_right", test.only_base},
        {"only_model_right", test.only_model},
        {"mcnemar_p", test.p},
        {"choice_changed", comparison.changed[n]},
        {"smallest_detectable_change", comparison.detectable[n] ? Json(*comparison.detectable[n]) : Json()}};
  }
  json["margin_change"] = mean_json(comparison.margin_change);
  json["margin_per_byte_change"] = mean_json(comparison.margin_per_byte_change);
  return json;
}

Json task_json(const EvaluatedTask& task) {
  Json json = {{"name", task.name}, {"items_in_file", task.items_in_file}, {"truncated", task.truncated}};
  if (!task.file.empty()) {
    json["file"] = task.file;
    json["sha256"] = task.sha256;
    json["form"] = name_of(task.form);
  }
  json["tokens"] = task.packed_rows;
  json["tokens_of_options_alone"] = task.separate_rows;
  json["model"] = score_json(task.score, has_norms(task));
  if (task.base) json["base"] = score_json(*task.base, has_norms(task));
  if (task.comparison) json["comparison"] = comparison_json(*task.comparison, has_norms(task));
  return json;
}

std::vector<const EvaluatedTask*> rows_of(const EvaluateTasksResult& result) {
  std::vector<const EvaluatedTask*> rows;
  for (const EvaluatedTask& task : result.tasks) rows.push_back(&task);
  if (result.all) rows.push_back(&*result.all);
  return rows;
}

std::string scores_text(const EvaluateTasksResult& result) {
  Table table({"task", "items", "measure", "%", "standard error", "95 % interval", "margin, nats", "per byte"});
  for (const EvaluatedTask* task : rows_of(result))
    for (const OptionNorm norm : kOptionNorms) {
      if (!has_norms(*task) && norm != OptionNorm::kNone) continue;
      const bool first = norm == OptionNorm::kNone;
      const Mean& mean = task->score.accuracy[static_cast<size_t>(norm)];
      table.add({first ? task->name : "", first ? group_digits(task->score.items) : "", std::string(name_of(norm)), percent(mean.value),
                 percent(mean.standard_error), percent_interval(mean.interval),
                 first ? fmt::format("{:+.4f} {}", task->score.margin.value, signed_interval(task->score.margin.interval)) : "",
                 first ? fmt::format("{:+.5f}", task->score.margin_per_byte.value) : ""});
    }
  return table.text();
}

std::string comparison_text(const EvaluateTasksResult& result) {
  Table table({"against the base", "measure", "base %", "change, points", "95 % interval", "worse, better", "McNemar p", "detectable"});
  for (const EvaluatedTask* task : rows_of(result))
    for (const OptionNorm norm : kOptionNorms) {
      if (!has_norms(*task) && norm != OptionNorm::kNone) continue;
      const auto n = static_cast<size_t>(norm);
      const TaskComparison& comparison = *task->comparison;
      const McNemar& test = comparison.test[n];
      table.add({norm == OptionNorm::kNone ? task->name : "", std::string(name_of(norm)), percent(task->base->accuracy[n].value),
                 fmt::format("{:+.2f}", 100 * comparison.accuracy_change[n].value),
                 percent_interval(comparison.accuracy_change[n].interval), fmt::format("{}, {}", test.only_base, test.only_model),
                 fmt::format("{:.3g}", test.p), comparison.detectable[n] ? percent(*comparison.detectable[n]) : "none"});
    }
  Table margins({"margin of the gold option", "change, nats", "95 % interval", "per byte", "95 % interval", "other choice, %"});
  for (const EvaluatedTask* task : rows_of(result)) {
    const TaskComparison& c = *task->comparison;
    const Interval& bytes = c.margin_per_byte_change.interval;
    margins.add({task->name, fmt::format("{:+.5f}", c.margin_change.value), signed_interval(c.margin_change.interval),
                 fmt::format("{:+.6f}", c.margin_per_byte_change.value), fmt::format("[{:+.6f}, {:+.6f}]", bytes.low, bytes.high),
                 percent(c.changed[0])});
  }
  std::string text = "\n" + table.text() + "\n" + margins.text();
  const EvaluatedTask& last = *rows_of(result).back();
  const TaskComparison& c = *last.comparison;
  const std::string seen = fmt::format("power: of {} items of {}, {} are right under one model and wrong under the other (acc)",
                                       group_digits(c.items), last.name, group_digits(c.test[0].discordant()));
  text += c.detectable[0]
              ? fmt::format("{}; with so many, a change of {} points is found with 80 % power at the 5 % level, smaller ones are not\n",
                            seen, percent(*c.detectable[0]))
              : seen + "; with so few McNemar's test can find no change\n";
  return text;
}

std::string text_of(const EvaluateTasksResult& result, bool compared) {
  std::string text = scores_text(result);
  if (compared) text += comparison_text(result);
  uint64_t truncated = 0, packed = 0, separate = 0;
  for (const EvaluatedTask& task : result.tasks) {
    truncated += task.truncated;
    packed += task.packed_rows;
    separate += task.separate_rows;
  }
  text += fmt::format(
      "rules of lm-evaluation-harness {}; standard errors take items as independent, intervals draw items of one context\n"
      "together; margin: log p of the gold option less that of the best other one\n",
      kLmEvalVersion);
  text += fmt::format("{} tokens run, {} if each option were run alone", group_digits(packed), group_digits(separate));
  text += truncated == 0 ? "\n" : fmt::format("; {} items were longer than the model's context and cut from the left\n", truncated);
  return text;
}

Status write_lm_eval(const EvalTasks& tasks, const EvaluateTasksResult& result, const Common& common) {
  std::vector<LmEvalTask> all;
  for (const EvaluatedTask& task : result.tasks)
    all.push_back({task.name, task.file, task.sha256, task.form, task.items_in_file, task.score});
  OutputOptions output;
  output.force = common.force;
  output.inputs = tasks.options.tasks;
  const Json json = lm_eval_results(all, tasks.options.model, kBosNames[static_cast<size_t>(tasks.options.bos)]);
  return write_text_file(tasks.lm_eval_json, json.dump(2) + "\n", output);
}

}  // namespace

std::shared_ptr<EvalTasks> add_task_options(CLI::App& app) {
  auto tasks = std::make_shared<EvalTasks>();
  app.add_option("--tasks", tasks->options.tasks,
                 "multiple-choice items (JSON lines, or llama.cpp's HellaSwag text) to score in place of a text")
      ->check(CLI::ExistingFile);
  tasks->own.push_back(app.add_option("--limit", tasks->options.limit, "with --tasks: only the first N items of each file (0: all)"));
  tasks->own.push_back(app.add_option_function<std::string>(
                              "--bos",
                              [tasks](const std::string& rule) {
                                for (size_t i = 0; i < std::size(kBosNames); ++i)
                                  if (rule == kBosNames[i]) tasks->options.bos = static_cast<BosRule>(i);
                              },
                              "with --tasks: BOS before each item as the tokenizer adds it (tokenizer), always or never")
                           ->check(CLI::IsMember({"tokenizer", "always", "never"})));
  tasks->own.push_back(app.add_option("--lm-eval-json", tasks->lm_eval_json, "with --tasks: results under lm-eval's keys, to this file"));
  return tasks;
}

Result<Outcome> run_eval_tasks(const EvalTasks& tasks, Context& context) {
  const EvaluateTasksOptions& options = tasks.options;
  std::error_code error;  // before the work, not after it
  if (!tasks.lm_eval_json.empty() && !context.common.force && std::filesystem::exists(tasks.lm_eval_json, error))
    return fail(ErrorCode::kUsage, {"--lm-eval-json", tasks.lm_eval_json + " exists", "another file, or --force", ""});
  Outcome outcome;
  outcome.inputs = {options.model, options.base};
  outcome.inputs.insert(outcome.inputs.end(), options.tasks.begin(), options.tasks.end());
  ASSAY_TRY(context.begin(outcome.inputs));
  ASSAY_ASSIGN(Engine * engine, context.engine());
  ASSAY_ASSIGN(const EvaluateTasksResult result, engine->evaluate_tasks(options, context.settings, context.progress));
  add_units(result.units, outcome);
  Json list = Json::array();
  for (const EvaluatedTask& task : result.tasks) list.push_back(task_json(task));
  outcome.result = {{"rules", "lm-evaluation-harness " + std::string(kLmEvalVersion)},
                    {"bos", kBosNames[static_cast<size_t>(options.bos)]},
                    {"tasks", std::move(list)}};
  if (result.all) outcome.result["all"] = task_json(*result.all);
  outcome.text = text_of(result, !options.base.empty());
  if (!tasks.lm_eval_json.empty()) ASSAY_TRY(write_lm_eval(tasks, result, context.common));
  return outcome;
}

}  // namespace assay::cli
