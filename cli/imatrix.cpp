#include <fmt/format.h>

#include "assay/base/text.h"
#include "assay/file/imatrix_statistics.h"
#include "cli/command.h"
#include "cli/table.h"

namespace assay::cli {
namespace {

std::string statistics_table(const std::vector<ImatrixStatistics>& all) {
  Table table({"tensor", "sum", "min", "max", "mean", "std", "active %", "N", "entropy", "normalised", "z > 1 %", "cosine"});
  for (const ImatrixStatistics& s : all)
    table.add({s.tensor, fmt::format("{:.4g}", s.sum), fmt::format("{:.4g}", s.min), fmt::format("{:.4g}", s.max),
               fmt::format("{:.4g}", s.mean), fmt::format("{:.4g}", s.std), fmt::format("{:.2f}", 100 * s.active), std::to_string(s.count),
               fmt::format("{:.3f}", s.entropy), fmt::format("{:.3f}", s.normalised_entropy), fmt::format("{:.2f}", 100 * s.z_density),
               s.cosine ? fmt::format("{:.4f}", *s.cosine) : ""});
  return table.text();
}

Json statistics_json(const std::vector<ImatrixStatistics>& all) {
  Json rows = Json::array();
  for (const ImatrixStatistics& s : all)
    rows.push_back({{"tensor", s.tensor},
                    {"sum", s.sum},
                    {"min", s.min},
                    {"max", s.max},
                    {"mean", s.mean},
                    {"std", s.std},
                    {"active", s.active},
                    {"count", s.count},
                    {"entropy", s.entropy},
                    {"normalised_entropy", s.normalised_entropy},
                    {"z_density", s.z_density},
                    {"cosine", s.cosine ? Json(*s.cosine) : Json()}});
  return rows;
}

}  // namespace

Run declare_imatrix(CLI::App& app) {
  auto options = std::make_shared<MakeImatrixOptions>();
  auto show = std::make_shared<bool>(false);
  app.add_option("model", options->model, kModelHelp)->required();
  app.add_option("--output,-o", options->output, "imatrix file to write");
  app.add_option("--in-file", options->in_files, "existing imatrix to merge (repeatable)");
  app.add_flag("--process-output", options->process_output, "also collect for the head");
  app.add_option("--save-frequency", options->save_frequency, "also write a copy OUTPUT.at_N every N windows");
  app.add_option_function<std::string>(
         "--output-format", [options](const std::string& f) { options->format = f == "dat" ? ImatrixFormat::kDat : ImatrixFormat::kGguf; },
         "gguf or dat")
      ->check(CLI::IsMember({"gguf", "dat"}));
  app.add_option("--full", options->full, "also write the inputs' full second moments (safetensors), which --codes needs");
  app.add_option("--full-in", options->full_in, "second moments to merge into --full, without --text (repeatable)");
  app.add_flag("--show-statistics", *show, "print statistics of every entry");
  auto text = add_text_options(app, false);
  app.add_option("--text,-f", text->path, std::string(kTextHelp) + "; without it the --in-file files are merged");
  return [=](Context& context) -> Result<Outcome> {
    if (text->path.empty() && options->in_files.empty() && options->full_in.empty())
      return fail(ErrorCode::kUsage, "imatrix: give --text, or --in-file or --full-in to merge");
    if (!options->full_in.empty() && (options->full.empty() || !text->path.empty()))
      return fail(ErrorCode::kUsage, "imatrix: --full-in needs --full and no --text");
    if (!options->full.empty() && options->save_frequency > 0)
      return fail(ErrorCode::kUsage, "imatrix: --save-frequency and --full do not go together: --full goes on by itself after a stop");
    if (options->save_frequency > 0 && options->output.empty()) return fail(ErrorCode::kUsage, "imatrix: --save-frequency needs --output");
    ASSAY_TRY(locate_model(options->model, context));
    ASSAY_TRY(locate_text(text->path, context));
    options->text = {text->path, text->windows};
    options->force = context.common.force;
    if (!text->path.empty() && options->full.empty()) {  // merging is no work, and --full goes on by itself
      std::vector<std::string> inputs = {options->model, text->path};
      inputs.insert(inputs.end(), options->in_files.begin(), options->in_files.end());
      ASSAY_TRY(context.begin(inputs));
    }
    ASSAY_ASSIGN(Engine * engine, context.engine());
    ASSAY_ASSIGN(const MakeImatrixResult made, engine->make_imatrix(*options, context.settings, context.progress));
    Outcome outcome;
    outcome.inputs = options->in_files;
    outcome.inputs.insert(outcome.inputs.begin(), {options->model, text->path});
    outcome.result = {{"output", options->output},
                      {"entries", made.imatrix.entries.size()},
                      {"windows", made.windows},
                      {"tokens", made.tokens},
                      {"chunk_count", made.imatrix.chunk_count}};
    add_units(made.units, outcome);
    if (!options->full.empty()) {
      outcome.result["full"] = options->full;
      outcome.result["damping"] = made.damping;
      outcome.result["warnings"] = made.warnings;
      outcome.inputs.insert(outcome.inputs.end(), options->full_in.begin(), options->full_in.end());
      for (const std::string& warning : made.warnings) outcome.text += "warning: " + warning + "\n";
      for (const auto& [role, damping] : made.damping) outcome.text += fmt::format("damping of {} inputs: {}\n", role, damping);
      outcome.text += "second moments: " + options->full + "\n";
    }
    if (*show) {
      const auto statistics = imatrix_statistics(made.imatrix);
      outcome.text += statistics_table(statistics);
      outcome.result["statistics"] = statistics_json(statistics);
    }
    outcome.text += fmt::format("{} entries from {} tokens{}\n", made.imatrix.entries.size(), group_digits(made.tokens),
                                options->output.empty() ? "" : ": " + options->output);
    return outcome;
  };
}

}  // namespace assay::cli
