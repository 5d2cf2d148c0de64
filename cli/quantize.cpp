#include <fmt/format.h>

#include "assay/base/text.h"
#include "assay/file/atomic_writer.h"
#include "assay/plan/quantize_job.h"
#include "assay/plan/recipe_file.h"
#include "cli/command.h"
#include "cli/quantize_awq.h"
#include "cli/table.h"

namespace assay::cli {
namespace {

struct Options {
  QuantizeOptions job;
  std::string model, output, recipe, imatrix, tensor_type_file, output_type, embedding_type, prune;
  std::vector<std::string> tensor_types;
  bool allow_requantize = false;
  std::string codes, moments;
  std::shared_ptr<TextOptions> calibration;
  AwqCommand awq;
};

Result<std::optional<GgmlType>> parse_type(const std::string& name) {
  if (name.empty()) return std::optional<GgmlType>();
  ASSAY_ASSIGN(const std::vector<GgmlType> types, parse_types(name));
  return std::optional<GgmlType>(types[0]);
}

Result<std::vector<uint32_t>> parse_layers(const std::string& list) {
  std::vector<uint32_t> layers;
  if (list.empty()) return layers;
  for (const std::string& part : split(list, ',')) {
    char* end = nullptr;
    const unsigned long layer = std::strtoul(part.c_str(), &end, 10);
    if (part.empty() || *end != '\0')
      return fail(ErrorCode::kUsage, {"--prune-layers '" + printable(list) + "'", "is not a list of numbers", "0,5,11", ""});
    layers.push_back(static_cast<uint32_t>(layer));
  }
  return layers;
}

Status add_rules(TensorTypeRules& rules, const std::vector<std::string>& tokens, const std::string& file) {
  for (const std::string& token : tokens) ASSAY_TRY(rules.add(token, "--tensor-type"));
  if (file.empty()) return {};
  ASSAY_ASSIGN(const std::string text, read_text_file(file));
  return rules.add_text(text);
}

// How codes are chosen: as asked for, else the best way that the given moments or text allow.
Result<Codes> codes_of(const Options& options) {
  if (options.awq.wanted()) return options.codes.empty() ? Codes::kNearest : *find_codes(options.codes);
  const bool can = !options.moments.empty() || !options.calibration->path.empty();
  if (options.codes.empty()) return can ? Codes::kBest : Codes::kNearest;
  const Codes codes = *find_codes(options.codes);
  if (codes != Codes::kNearest && !can)
    return fail(ErrorCode::kUsage, {"quantize: --codes " + options.codes, "needs second moments",
                                    "--moments FILE (from `assay imatrix --full`) or --calibration TEXT", ""});
  return codes;
}

void add_codes(const std::map<std::string, CodesReport>& codes, Outcome& outcome) {
  double nearest = 0, chosen = 0;
  Json rows = Json::object();
  for (const auto& [tensor, report] : codes) {
    rows[tensor] = {{"nearest", report.nearest}, {"feedback", report.feedback}, {"chosen", report.final}};
    nearest += report.nearest;
    chosen += report.final;
  }
  outcome.result["codes"] = std::move(rows);
  if (nearest > 0)
    outcome.text +=
        fmt::format("codes chosen for {} tensors: error of their outputs {:+.1f} %\n", codes.size(), 100 * (chosen / nearest - 1));
}

Result<Outcome> quantize(Options& options, Context& context) {
  ASSAY_TRY(options.awq.check(!options.moments.empty(), !options.calibration->path.empty()));
  ASSAY_ASSIGN(const Codes codes, codes_of(options));
  ASSAY_TRY(locate_model(options.model, context));
  ASSAY_TRY(locate_text(options.calibration->path, context));
  ASSAY_TRY(locate_text(options.awq.evaluation, context));
  ASSAY_ASSIGN(const auto checkpoint, Checkpoint::open(options.model));
  std::optional<Imatrix> imatrix;
  if (!options.imatrix.empty()) {
    ASSAY_ASSIGN(imatrix, read_imatrix(options.imatrix));
  }
  QuantizeOptions& job = options.job;
  std::vector<std::string> losses;
  job.imatrix = imatrix ? &*imatrix : nullptr;
  job.imatrix_path = options.imatrix;
  if (!options.recipe.empty()) {
    ASSAY_ASSIGN(job.recipe,
                 read_recipe_rules(options.recipe, {options.model, checkpoint->tensors(), checkpoint}, context.common.force, losses));
  }
  ASSAY_TRY(add_rules(job.tensor_types, options.tensor_types, options.tensor_type_file));
  ASSAY_ASSIGN(job.output_tensor_type, parse_type(options.output_type));
  ASSAY_ASSIGN(job.token_embedding_type, parse_type(options.embedding_type));
  ASSAY_ASSIGN(job.prune_layers, parse_layers(options.prune));
  job.threads = context.common.threads;
  job.force = context.common.force;
  if (options.output.empty() && !job.dry_run) return fail(ErrorCode::kUsage, "quantize: no output file given (-o OUT.gguf)");
  QuantizeCodesResult made;
  std::optional<QuantizeAwqResult> awq;
  if (options.awq.wanted() && !job.dry_run) {
    ASSAY_TRY(context.begin({options.model, options.calibration->path, options.awq.evaluation}));
    ASSAY_ASSIGN(Engine * engine, context.engine());
    const TextInput calibration{options.calibration->path, options.calibration->windows};
    ASSAY_ASSIGN(awq, engine->quantize_awq(options.awq.options(options.model, options.output, job, calibration, codes), context.settings,
                                           context.progress));
    made.report = awq->report;
    made.codes = awq->codes;
  } else if (codes == Codes::kNearest || job.dry_run) {
    ASSAY_ASSIGN(made.report, quantize_model(*checkpoint, job, options.output, context.progress));
  } else {
    ASSAY_ASSIGN(Engine * engine, context.engine());
    ASSAY_ASSIGN(
        made, engine->quantize_codes(
                  {options.model, options.output, job, options.moments, {options.calibration->path, options.calibration->windows}, codes},
                  context.settings, context.progress));
  }
  const QuantizeReport& report = made.report;
  Outcome outcome;
  outcome.inputs = {options.model,   options.imatrix,           options.recipe,        options.tensor_type_file,
                    options.moments, options.calibration->path, options.awq.evaluation};
  Table table({"tensor", "from", "to", "bytes"});
  Json types = Json::object();
  for (const QuantizedTensor& tensor : report.tensors) {
    types[tensor.name] = find_type(tensor.to)->name;
    if (tensor.shape.size() > 1)
      table.add({tensor.name, find_type(tensor.from)->name, find_type(tensor.to)->name, group_digits(tensor.bytes)});
  }
  outcome.result = {{"output", job.dry_run ? Json() : Json(report.paths)},
                    {"input_bytes", report.input_bytes},
                    {"bytes", report.file_bytes},
                    {"tensor_bytes", report.tensor_bytes},
                    {"bpw", report.bpw},
                    {"types", std::move(types)},
                    {"warnings", report.warnings}};
  outcome.text = table.text();
  add_codes(made.codes, outcome);
  for (const std::string& loss : losses) outcome.text += "not read from the recipe: " + loss + "\n";
  if (awq) add_awq(*awq, outcome);
  for (const std::string& warning : report.warnings) outcome.text += "warning: " + warning + "\n";
  outcome.text += fmt::format("{}: {} bytes, {:.4f} bits per weight\n", job.dry_run ? "dry run" : options.output,
                              group_digits(report.file_bytes), report.bpw);
  return outcome;
}

}  // namespace

Run declare_quantize(CLI::App& app) {
  auto options = std::make_shared<Options>();
  QuantizeOptions& job = options->job;
  app.add_option("model", options->model, kModelHelp)->required();
  app.add_option("--output,-o", options->output, "GGUF to write");
  app.add_option("--type", job.preset, "preset: Q4_K_M, Q5_K_S, IQ4_XS, ...");
  app.add_option("--recipe", options->recipe,
                 "recipe of any format that `recipe` reads, or a model's file, which is the recipe of its types");
  app.add_option("--imatrix", options->imatrix, "importance matrix (GGUF or .dat)");
  app.add_option("--codes", options->codes,
                 "nearest, feedback (error carried on to later columns) or best (and improved with the scales until it stops falling); "
                 "the default is best where --moments or --calibration is given")
      ->check(CLI::IsMember({"nearest", "feedback", "best"}));
  app.add_option("--moments", options->moments, "second moments of the model's inputs, from `assay imatrix --full`");
  options->calibration = add_text_options(app, false);
  app.add_option("--calibration", options->calibration->path, "text to compute them from")->excludes("--moments");
  options->awq.declare(app);
  app.add_option("--include-weights", job.include_weights, "use the imatrix only for tensors whose name holds this");
  app.add_option("--exclude-weights", job.exclude_weights, "do not use the imatrix for tensors whose name holds this");
  app.add_option("--tensor-type", options->tensor_types, "REGEX=TYPE: overrides the preset; first match wins");
  app.add_option("--tensor-type-file", options->tensor_type_file, "file of such rules");
  app.add_option("--output-tensor-type", options->output_type, "type of the head");
  app.add_option("--token-embedding-type", options->embedding_type, "type of the token embedding");
  app.add_flag("--leave-output-tensor", job.leave_output_tensor, "keep output.weight as it is");
  app.add_flag("--pure", job.pure, "the base type for every matrix");
  app.add_flag("--keep-split", job.keep_split, "write as many parts as the input has");
  app.add_option("--override-kv", job.override_kv, "KEY=int|float|bool|str:VALUE");
  app.add_option("--prune-layers", options->prune, "blocks to leave out: 3,7,11");
  app.add_flag("--dry-run", job.dry_run, "print sizes, write nothing");
  app.add_flag("--allow-requantize", options->allow_requantize, "accepted for compatibility: decoding to float is always allowed");
  return [options](Context& context) { return quantize(*options, context); };
}

}  // namespace assay::cli
