#include <fmt/format.h>

#include <filesystem>

#include "assay/file/atomic_writer.h"
#include "assay/plan/damage_table.h"
#include "assay/plan/published_export.h"
#include "cli/csv.h"
#include "cli/program.h"
#include "cli/runs.h"

namespace assay::cli {
namespace {

// Made by the run's own command from the units that are finished, in the directory where it was begun.
Result<PartialReport> unfinished_report(const RunRecord& run) {
  std::error_code error;
  const auto here = std::filesystem::current_path(error);
  std::filesystem::current_path(run.directory, error);
  if (error) return fail(ErrorCode::kNotFound, {"run " + run.id, "was begun in " + run.directory, "", error.message()});
  auto partial = partial_report(run.arguments);
  std::filesystem::current_path(here, error);
  if (partial || partial.error().code != ErrorCode::kNotFound) return partial;
  return fail(ErrorCode::kNotFound,
              {"run " + run.id, fmt::format("has {} of {} units finished", run.units.found + run.units.made, run.units.planned),
               "a report of `" + run.command + "` needs more: assay resume " + run.id, partial.error().message});
}

// The directory of the tool suite's two tables.
Result<Outcome> export_published(const Json& report, const RunRecord& run, const std::string& directory, bool force) {
  if (directory.empty()) return fail(ErrorCode::kUsage, {"export --format thireus", "needs a directory", "--output DIR", ""});
  ASSAY_ASSIGN(const DamageTable table, damage_table_from_json(report.dump()));
  const Json cells = report["result"].value("whole", Json::array());
  if (!cells.is_array() || cells.empty())
    return fail(ErrorCode::kUsage, {"run " + run.id, "has no damage of the whole model", "a sweep with --whole is needed", ""});
  DamageTable whole;  // read as a row is, with all its checks
  ASSAY_ASSIGN(whole, damage_table_from_json(Json{{"rows", {{{"name", "group0"}, {"cells", cells}}}}}.dump()));
  ASSAY_ASSIGN(const PublishedFiles files, published_files(table, whole.rows[0].cells));
  const std::filesystem::path root(directory);
  std::error_code error;
  std::filesystem::create_directories(root / "group0", error);
  if (error) return fail(ErrorCode::kIo, {directory, "cannot be made", "", error.message()});
  Outcome outcome;
  outcome.result = {{"run", run.id}, {"format", "thireus"}, {"files", Json::array()}};
  for (const auto& [path, one] :
       {std::pair(root / "kld_results.csv", &files.table), std::pair(root / "group0" / "kld_results.csv", &files.group0)}) {
    ASSAY_TRY(write_text_file(path.string(), to_csv(*one), {force, {}, 0}));
    outcome.result["files"].push_back(path.string());
    outcome.text += path.string() + "\n";
  }
  return outcome;
}

}  // namespace

Run declare_export(CLI::App& app) {
  struct Options {
    std::string run, format = "json", output;
  };
  auto options = std::make_shared<Options>();
  app.add_option("run", options->run, "the first digits of its name (default: the latest)");
  app.add_option("--format", options->format,
                 "json: the report; csv: its damage table, or one line per value; thireus: kld_results.csv and group0/kld_results.csv in a "
                 "directory, of a sweep with --whole, for plan --published")
      ->check(CLI::IsMember({"json", "csv", "thireus"}))
      ->capture_default_str();
  app.add_option("--output,-o", options->output, "file to write (default: standard output); thireus: the directory");
  return [options](Context& context) -> Result<Outcome> {
    ASSAY_ASSIGN(const std::string store, store_of(context));
    ASSAY_ASSIGN(const RunRecord run, choose_run(store, options->run, [](const RunRecord&) { return true; }, "run"));
    UnitCounts units = run.units;
    units.found += units.made;
    Json report;
    if (run.state == RunState::kDone) {
      ASSAY_ASSIGN(const std::string kept, run_report(store, run));
      report = Json::parse(kept, nullptr, false);
      if (!report.is_object() || !report.contains("result"))
        return fail(ErrorCode::kBadInput, {"run " + run.id, "has a damaged report", "resume --fork makes it again", ""});
    } else {
      ASSAY_ASSIGN(PartialReport partial, unfinished_report(run));
      units = partial.units;
      report = std::move(partial.report);
      report["unfinished"] = {
          {"units_done", units.found}, {"units_planned", units.planned}, {"units_missing", units.planned - units.found}};
      context.progress.log(fmt::format("run {} is {}: a report of {} of {} units", run.id, name_of(run.state), units.found, units.planned));
    }
    if (options->format == "thireus") return export_published(report, run, options->output, context.common.force);
    const std::string text = options->format == "csv" ? csv_of(report) : report.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
    Outcome outcome;
    outcome.result = {{"run", run.id},
                      {"state", name_of(run.state)},
                      {"units_done", units.found},
                      {"units_planned", units.planned},
                      {"report", std::move(report)}};
    if (options->output.empty()) {
      outcome.text = text;
    } else {
      OutputOptions output;
      output.force = context.common.force;
      ASSAY_TRY(write_text_file(options->output, text, output));
      outcome.text = options->output + "\n";
    }
    return outcome;
  };
}

}  // namespace assay::cli
