// `assay eval MODEL --tasks FILE..`: the part of eval that scores items. Internal to cli/.
#pragma once

#include <memory>
#include <string>

#include "cli/command.h"

namespace assay::cli {

struct EvalTasks {
  EvaluateTasksOptions options;
  std::string lm_eval_json;
  std::vector<const CLI::Option*> own;  // meaningful with --tasks only
  bool wanted() const { return !options.tasks.empty(); }
};

// --tasks, --limit, --bos, --lm-eval-json.
std::shared_ptr<EvalTasks> add_task_options(CLI::App& app);
Result<Outcome> run_eval_tasks(const EvalTasks& tasks, Context& context);

}  // namespace assay::cli
