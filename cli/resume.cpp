#include <filesystem>

#include "assay/base/text.h"
#include "cli/program.h"
#include "cli/runs.h"

namespace assay::cli {
namespace {

bool is_unfinished(const RunRecord& run) { return run.state == RunState::kInterrupted || run.state == RunState::kFailed; }

// Its command would find none of its finished units, or could not be given again.
Status check_unchanged(const RunRecord& run, const Context& context) {
  ASSAY_ASSIGN(Engine * engine, context.engine());
  ASSAY_ASSIGN(const std::string code, engine->code_version());
  std::vector<std::string> paths;
  for (const RunInput& input : run.inputs) paths.push_back(input.path);
  const std::vector<std::string> changes = changes_since(run, hash_inputs(paths), code);
  if (changes.empty()) return {};
  return fail(ErrorCode::kMismatch,
              {"run " + run.id, "is another one now: " + join(changes, "; "), "--fork starts the command as a run beside it", ""});
}

}  // namespace

Run declare_resume(CLI::App& app) {
  struct Options {
    std::string run;
    bool fork = false;
  };
  auto options = std::make_shared<Options>();
  app.add_option("run", options->run, "the first digits of its name (default: the latest that is not done)");
  app.add_flag("--fork", options->fork, "also where inputs or the program changed since: the same command as a new run");
  return [options](Context& context) -> Result<Outcome> {
    ASSAY_ASSIGN(const std::string store, store_of(context));
    ASSAY_ASSIGN(const RunRecord run, choose_run(store, options->run, is_unfinished, "unfinished run"));
    Outcome outcome;
    if (run.state == RunState::kRunning)
      return fail(ErrorCode::kUsage, {"run " + run.id, "is being done by another process", "", "on " + printable(run.host) + "?"});
    if (run.state == RunState::kDone && !options->fork) {
      outcome.text = "run " + run.id + " is done; its report: assay export " + run.id + "\n";
      outcome.result = {{"run", run.id}, {"state", name_of(run.state)}};
      return outcome;
    }
    for (const RunInput& input : run.inputs)
      if (input.path == "-")
        return fail(ErrorCode::kUsage, {"run " + run.id, "reads standard input", "give the command again with the same text", ""});
    std::error_code error;
    std::filesystem::current_path(run.directory, error);
    if (error) return fail(ErrorCode::kNotFound, {"run " + run.id, "was begun in " + printable(run.directory, 300), "", error.message()});
    if (!options->fork) ASSAY_TRY(check_unchanged(run, context));
    std::vector<std::string> arguments = run.arguments;
    if (context.common.force) arguments.emplace_back("--force");
    if (context.common.quiet) arguments.emplace_back("--quiet");
    outcome.exit_code = run_program({context.program, std::move(arguments)});
    return outcome;
  };
}

}  // namespace assay::cli
