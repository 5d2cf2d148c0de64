// `assay report`: results as a page, and their figures as files.
#include <fmt/format.h>

#include <filesystem>

#include "assay/base/text.h"
#include "assay/report/report_figures.h"
#include "cli/program.h"
#include "cli/report_file.h"
#include "cli/runs.h"

namespace assay::cli {
namespace {

// A file, a directory that --results made, or a run of the store.
Result<ReportSource> read_result(const std::string& name, const Context& context) {
  std::error_code error;
  if (std::filesystem::is_directory(name, error)) return read_result((std::filesystem::path(name) / "report.json").string(), context);
  if (std::filesystem::exists(name, error)) {
    ASSAY_ASSIGN(std::string text, read_text_file(name));
    return ReportSource{name, std::move(text)};
  }
  const bool names_run = !name.empty() && name.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!names_run || context.settings.store.empty())
    return fail(ErrorCode::kNotFound,
                {printable(name), "is not there", "a file that --json wrote, a directory of --results, or a run of the store", ""});
  ASSAY_ASSIGN(const RunRecord run, find_run(context.settings.store, name));
  if (run.state != RunState::kDone)
    return fail(ErrorCode::kNotFound, {"run " + run.id, std::string("is ") + name_of(run.state), "assay resume " + run.id, ""});
  ASSAY_ASSIGN(std::string text, run_report(context.settings.store, run));
  return ReportSource{"run " + run.id, std::move(text)};
}

}  // namespace

Run declare_report(CLI::App& app) {
  struct Options {
    std::vector<std::string> results;
    std::string output, figures;
  };
  auto options = std::make_shared<Options>();
  app.add_option("results", options->results, "files that --json wrote, directories of --results, runs of the store")->required();
  app.add_option("--output,-o", options->output, "the page, one HTML file")->required();
  app.add_option("--figures", options->figures, "directory, made if need be, for the figures as SVG and PNG");
  return [options](Context& context) -> Result<Outcome> {
    ASSAY_ASSIGN(const std::string page_template, report_template());
    Outcome outcome;
    std::vector<ReportSource> sources;
    for (const std::string& name : options->results) {
      ASSAY_ASSIGN(ReportSource source, read_result(name, context));
      if (!source.path.starts_with("run ")) outcome.inputs.push_back(source.path);
      sources.push_back(std::move(source));
    }
    OutputOptions output;
    output.force = context.common.force;
    output.inputs = outcome.inputs;
    ASSAY_ASSIGN(const uint64_t bytes, write_report(options->output, page_template, sources, output));
    outcome.text =
        fmt::format("{}: {} result{}, {}\n", options->output, sources.size(), sources.size() == 1 ? "" : "s", format_bytes(bytes));
    Json written = Json::array();
    if (!options->figures.empty()) {
      std::vector<NamedFigure> figures;
      for (size_t i = 0; i < sources.size(); ++i) {
        ASSAY_ASSIGN(std::vector<NamedFigure> made, report_figures(sources[i], report_type_bits()));
        for (NamedFigure& figure : made) {
          if (sources.size() > 1) figure.first = fmt::format("{}_{}", i + 1, figure.first);
          figures.push_back(std::move(figure));
        }
      }
      ASSAY_ASSIGN(const std::vector<std::string> paths, write_figures(options->figures, figures, output));
      for (const std::string& path : paths) written.push_back(path);
      outcome.text += fmt::format("{}: {} files\n", options->figures, paths.size());
    }
    outcome.result = {{"output", options->output}, {"bytes", bytes}, {"results", sources.size()}, {"figures", std::move(written)}};
    return outcome;
  };
}

}  // namespace assay::cli
