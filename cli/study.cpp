// `assay study`: pre-registered studies.
#include "cli/study.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "cli/table.h"

namespace assay::cli {
namespace {

struct Study {
  std::string name;
  std::vector<const CLI::Option*> own;  // options that no other study has
  StudyRun run;
};

Study declared(CLI::App& app, const char* name, StudyRun (*declare)(CLI::App&)) {
  const std::vector<CLI::Option*> before = app.get_options();
  Study study{name, {}, declare(app)};
  for (CLI::Option* const option : app.get_options()) {
    if (std::find(before.begin(), before.end(), option) != before.end()) continue;
    option->group("Only for the study " + study.name);
    study.own.push_back(option);
  }
  return study;
}

}  // namespace

std::string interval_text(const std::optional<std::pair<double, double>>& interval) {
  return interval ? fmt::format(" [{:.3g}, {:.3g}]", interval->first, interval->second) : "";
}

std::string estimate_text(const std::optional<Estimate>& estimate) {
  return estimate ? fmt::format("{:.4g}{}", estimate->value, interval_text(estimate->interval)) : "";
}

std::string verdicts_text(const std::vector<Verdict>& verdicts, assay::Outcome outcome, bool post_hoc) {
  Table table({"criterion", "statistic", "rule", "measured", "outcome"});
  for (const Verdict& verdict : verdicts)
    table.add({verdict.criterion.name, verdict.criterion.statistic,
               fmt::format("{} {:g}", verdict.criterion.rule == Criterion::Rule::kBelow ? "<" : ">=", verdict.criterion.threshold),
               verdict.measured ? fmt::format("{:.4g}{}", verdict.measured->value, interval_text(verdict.measured->interval)) : "",
               std::string(name_of(verdict.outcome))});
  return "\n" + table.text() +
         fmt::format("Overall: {}.{}\n", name_of(outcome),
                     post_hoc ? " The criteria were changed after the first measurement: post hoc." : "");
}

void add_run(const std::vector<std::pair<std::string, double>>& stage_seconds, const UnitCounts& units, Outcome& outcome) {
  Json stages = Json::object();
  for (const auto& [name, seconds] : stage_seconds) stages[name] = seconds;
  outcome.run_facts["stage_seconds"] = std::move(stages);
  add_units(units, outcome);
}

Status write_results(const ResultsDirectory& results, const std::string& model, const std::string& measured,
                     const std::vector<std::pair<std::string, std::string>>& files, const DrawFigures& draw, Outcome& outcome) {
  if (!results.wanted()) return {};
  ASSAY_ASSIGN(const std::vector<std::string> figures, draw(std::filesystem::path(model).filename().string() + ", " + measured));
  ASSAY_TRY(write_text_file(results.file("report.txt"), outcome.text, results.output()));
  std::string names = "report.json, report.txt";
  for (const auto& [name, text] : files) {
    ASSAY_TRY(write_text_file(results.file(name), text, results.output()));
    names += ", " + name;
  }
  outcome.report_file = results.file("report.json");
  outcome.text += fmt::format("{} and {} figures in {}\n", names, figures.size() / 2, results.path());
  return {};
}

Run declare_study(CLI::App& app) {
  auto options = std::make_shared<StudyOptions>();
  app.add_option("study", options->name, "which study: qpsa, pqi, attention, outliers, awq, rfic or proxies")
      ->required()
      ->check(CLI::IsMember({"qpsa", "pqi", "attention", "outliers", "awq", "rfic", "proxies"}));
  app.add_option("model", options->model, kModelHelp)->required();
  app.add_option("--config", options->config, "protocol and criteria (studies/*.yaml)");
  app.add_flag("--quick", options->quick, "minutes instead of a quarter of an hour: fewer samples, windows, types");
  app.add_option("--layers", options->layers, "only these, e.g. 0-5,9");
  app.add_option("--results", options->results,
                 "directory, made if need be, for the report (report.json), the tables (report.txt), rankings and figures");
  options->text = add_text_options(app, false);
  app.add_option("--text,-f", options->text->path, std::string(kTextHelp) + "; outliers brings its own prompts");
  app.add_option("--calibration", options->calibration, "text that awq and rfic choose scales and weights on; --text is measured on");
  auto studies = std::make_shared<std::vector<Study>>();
  studies->push_back(declared(app, "qpsa", declare_study_qpsa));
  studies->push_back(declared(app, "pqi", declare_study_pqi));
  studies->push_back(declared(app, "attention", declare_study_attention));
  studies->push_back(declared(app, "outliers", declare_study_outliers));
  studies->push_back(declared(app, "awq", declare_study_awq));
  studies->push_back(declared(app, "rfic", declare_study_rfic));
  studies->push_back(declared(app, "proxies", declare_study_proxies));
  return [=](Context& context) -> Result<Outcome> {
    for (const Study& study : *studies)
      for (const CLI::Option* const option : study.own)
        if (study.name != options->name && option->count() > 0)
          return fail(ErrorCode::kUsage,
                      {option->get_name(), "belongs to the study " + study.name, "the study asked for is " + options->name, ""});
    if (options->text->path.empty() && options->name != "outliers")
      return fail(ErrorCode::kUsage, {"study " + options->name, "has no text", "--text FILE", ""});
    const bool calibrates = options->name == "awq" || options->name == "rfic";
    if (calibrates == options->calibration.empty())
      return fail(ErrorCode::kUsage, {"study " + options->name, calibrates ? "needs a text to calibrate on" : "takes no --calibration",
                                      calibrates ? "--calibration TEXT" : "", ""});
    const auto chosen = std::find_if(studies->begin(), studies->end(), [&](const Study& study) { return study.name == options->name; });
    ASSAY_TRY(locate_model(options->model, context));
    ASSAY_TRY(locate_text(options->text->path, context));
    ASSAY_TRY(locate_text(options->calibration, context));
    return chosen->run(*options, context);
  };
}

}  // namespace assay::cli
