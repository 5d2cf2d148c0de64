#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <map>

#include "assay/base/text.h"
#include "assay/store/prune.h"
#include "cli/program.h"
#include "cli/runs.h"
#include "cli/table.h"

namespace assay::cli {
namespace {

std::string age_text(int64_t seconds) {
  if (seconds < 120) return fmt::format("{} s", std::max<int64_t>(0, seconds));
  if (seconds < 2 * 3600) return fmt::format("{} min", seconds / 60);
  if (seconds < 2 * 86400) return fmt::format("{} h", seconds / 3600);
  return fmt::format("{} d", seconds / 86400);
}

uint64_t done_units(const RunRecord& run) { return run.units.found + run.units.made; }

std::string count_of(uint64_t count, const char* what) { return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s"); }

std::string command_line(const RunRecord& run) {
  std::string line = "assay";
  for (const std::string& argument : run.arguments) line += " " + printable(argument, 300);
  return line;
}

Json run_json(const RunRecord& run, uint64_t bytes) {
  return {{"run", run.id},
          {"command", run.command},
          {"model", run.model},
          {"arguments", run.arguments},
          {"directory", run.directory},
          {"version", run.version},
          {"started", run.started},
          {"updated", run.updated},
          {"units_done", done_units(run)},
          {"units_planned", run.units.planned},
          {"bytes", bytes},
          {"state", name_of(run.state)},
          {"message", run.message}};
}

// One run, line by line.
std::string details(const RunRecord& run) {
  std::string text = fmt::format("run      {}\nstate    {}{}\nunits    {} of {} finished\ncommand  {}\nin       {}\n", run.id,
                                 name_of(run.state), run.message.empty() ? "" : ": " + printable(run.message, 300), done_units(run),
                                 run.units.planned, command_line(run), printable(run.directory, 300));
  for (const RunInput& input : run.inputs) text += fmt::format("input    {}  {}\n", input.sha256.substr(0, 16), printable(input.path, 300));
  return text;
}

}  // namespace

Run declare_status(CLI::App& app) {
  struct Options {
    std::string what, prune;
  };
  auto options = std::make_shared<Options>();
  app.add_option("what", options->what, "a run (the first digits of its name) to show whole, or a store's directory");
  app.add_option("--prune", options->prune,
                 "delete finished work: what was not used for a time (30d, 12h), or beyond a size (2GiB, what was used last stays)");
  return [options](Context& context) -> Result<Outcome> {
    std::error_code error;
    const bool directory = std::filesystem::is_directory(options->what, error);
    if (directory) context.settings.store = options->what;
    ASSAY_ASSIGN(const std::string store, store_of(context));
    const std::string prefix = directory ? "" : options->what;
    Outcome outcome;
    outcome.result["store"] = store;
    if (!options->prune.empty()) {
      ASSAY_ASSIGN(const PruneRule rule, parse_prune_rule(options->prune));
      ASSAY_ASSIGN(const Pruned pruned, prune_store(store, rule));
      outcome.result["pruned"] = {{"runs", pruned.runs}, {"journals", pruned.directories}, {"bytes", pruned.bytes}};
      outcome.text = fmt::format("deleted: {} of finished work ({}), {}\n", format_bytes(pruned.bytes),
                                 count_of(pruned.directories, "journal"), count_of(pruned.runs, "run"));
    }
    std::vector<RunRecord> runs;
    if (prefix.empty()) {
      ASSAY_ASSIGN(RunList list, list_runs(store));
      for (const std::string& warning : list.warnings) outcome.text += "warning: " + warning + "\n";
      runs = std::move(list.runs);
    } else {
      ASSAY_ASSIGN(RunRecord run, find_run(store, prefix));
      outcome.text += details(run);
      runs.push_back(std::move(run));
    }
    ASSAY_ASSIGN(const std::vector<StoreDirectory> directories, store_directories(store));
    std::map<std::string, uint64_t> sizes;
    uint64_t total = 0;
    for (const StoreDirectory& one : directories) total += sizes[one.name] = one.bytes;
    const int64_t now = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
    Json rows = Json::array();
    Table table({"run", "command", "model", "units", "age", "size", "state"});
    for (const RunRecord& run : runs) {
      uint64_t bytes = 0;
      for (const std::string& journal : run.journals) bytes += sizes[journal];
      rows.push_back(run_json(run, bytes));
      table.add({run.id, printable(run.command), printable(run.model), fmt::format("{}/{}", done_units(run), run.units.planned),
                 age_text(now - run.updated), format_bytes(bytes), name_of(run.state)});
    }
    outcome.result["runs"] = std::move(rows);
    outcome.result["bytes"] = total;
    if (!prefix.empty()) return outcome;
    const bool limited = context.common.store.empty() && !directory && store_limit() > 0;
    outcome.result["limit_bytes"] = limited ? Json(store_limit()) : Json();
    if (!runs.empty()) outcome.text += table.text();
    outcome.text += fmt::format("{}: {}, {} of finished work in {}{}\n", store, count_of(runs.size(), "run"), format_bytes(total),
                                count_of(directories.size(), "journal"), limited ? ", kept below " + format_bytes(store_limit()) : "");
    return outcome;
  };
}

}  // namespace assay::cli
