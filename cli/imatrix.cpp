#include <fmt/format.h>

#include <cmath>

#include "assay/base/text.h"
#include "cli/command.h"
#include "cli/table.h"

namespace assay::cli {
namespace {

// llama.cpp's statistics of the mean squared activations of each entry.
std::string statistics(const Imatrix& imatrix) {
  Table table({"tensor", "sum", "min", "max", "mean", "active %", "entropy", "normalised"});
  for (const auto& [name, entry] : imatrix.entries) {
    const std::vector<float> a = imatrix.importance(name);
    double sum = 0, least = INFINITY, most = 0, entropy = 0;
    size_t active = 0;
    for (const float v : a) {
      sum += static_cast<double>(v);
      least = std::min(least, static_cast<double>(v));
      most = std::max(most, static_cast<double>(v));
      active += v > 1e-5f;
    }
    for (const float v : a)
      if (v > 0 && sum > 0) entropy -= static_cast<double>(v) / sum * std::log2(static_cast<double>(v) / sum);
    const double n = static_cast<double>(a.size());
    table.add({name, fmt::format("{:.4g}", sum), fmt::format("{:.4g}", least), fmt::format("{:.4g}", most), fmt::format("{:.4g}", sum / n),
               fmt::format("{:.2f}", 100 * static_cast<double>(active) / n), fmt::format("{:.3f}", entropy), fmt::format("{:.3f}", n > 1 ? entropy / std::log2(n) : 1.0)});
  }
  return table.text();
}

}  // namespace

Run declare_imatrix(CLI::App& app) {
  auto options = std::make_shared<MakeImatrixOptions>();
  auto show = std::make_shared<bool>(false);
  app.add_option("model", options->model, "GGUF file or Hugging Face directory")->required();
  app.add_option("--output,-o", options->output, "imatrix file to write");
  app.add_option("--in-file", options->in_files, "existing imatrix to merge (repeatable)");
  app.add_flag("--process-output", options->process_output, "also collect for the head");
  app.add_option("--save-frequency", options->save_frequency, "write the output every N windows");
  app.add_option_function<std::string>("--output-format", [options](const std::string& f) { options->format = f == "dat" ? ImatrixFormat::kDat : ImatrixFormat::kGguf; }, "gguf or dat")
      ->check(CLI::IsMember({"gguf", "dat"}));
  app.add_flag("--show-statistics", *show, "print statistics of every entry");
  auto text = add_text_options(app, false);
  app.add_option("--text,-f", text->path, "text file, or - for standard input; without it the --in-file files are merged");
  return [=](Context& context) -> Result<Outcome> {
    if (text->path.empty() && options->in_files.empty()) return fail(ErrorCode::kUsage, "imatrix: give --text, or --in-file to merge");
    options->text = {text->path, text->windows};
    options->force = context.common.force;
    ASSAY_ASSIGN(Engine* engine, context.engine());
    ASSAY_ASSIGN(const MakeImatrixResult made, engine->make_imatrix(*options, context.settings, context.progress));
    Outcome outcome;
    outcome.inputs = options->in_files;
    outcome.inputs.insert(outcome.inputs.begin(), {options->model, text->path});
    outcome.result = {{"output", options->output}, {"entries", made.imatrix.entries.size()}, {"windows", made.windows}, {"tokens", made.tokens}, {"chunk_count", made.imatrix.chunk_count}};
    add_units(made.units, outcome);
    if (*show) outcome.text = statistics(made.imatrix);
    outcome.text += fmt::format("{} entries from {} tokens{}\n", made.imatrix.entries.size(), group_digits(made.tokens), options->output.empty() ? "" : ": " + options->output);
    return outcome;
  };
}

}  // namespace assay::cli
