#include <fmt/format.h>

#include <regex>
#include <sstream>

#include "assay/base/text.h"
#include "assay/file/atomic_writer.h"
#include "assay/plan/quantize.h"
#include "cli/command.h"
#include "cli/table.h"

namespace assay::cli {
namespace {

struct Options {
  std::string model, output, type, recipe, imatrix, tensor_type_file, output_type, embedding_type;
  std::vector<std::string> tensor_types;
  bool pure = false, dry_run = false, leave_output = false, allow_requantize = false;
};

// REGEX=TYPE lines; the first that matches a tensor wins, as in llama-quantize.
Result<std::vector<std::pair<std::regex, GgmlType>>> parse_rules(const std::vector<std::string>& rules) {
  std::vector<std::pair<std::regex, GgmlType>> parsed;
  for (const std::string& rule : rules) {
    const size_t equals = rule.find('=');
    if (equals == std::string::npos) return fail(ErrorCode::kUsage, {"tensor type '" + printable(rule) + "'", "has no '='", "REGEX=TYPE", ""});
    ASSAY_ASSIGN(const auto type, parse_types(rule.substr(equals + 1)));
    try {
      parsed.emplace_back(std::regex(rule.substr(0, equals)), type[0]);
    } catch (const std::regex_error&) {
      return fail(ErrorCode::kUsage, {"tensor type '" + printable(rule) + "'", "is not a regular expression", "", ""});
    }
  }
  return parsed;
}

Result<std::vector<std::string>> read_rules(const std::string& path) {
  ASSAY_ASSIGN(const std::string text, read_text_file(path));
  std::vector<std::string> rules;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (const size_t comment = line.find('#'); comment != std::string::npos) line.erase(comment);
    std::istringstream words(line);
    for (std::string word; words >> word;) rules.push_back(word);
  }
  return rules;
}

Status apply_rules(const Checkpoint& checkpoint, const std::vector<std::string>& rules, bool all_must_match, Recipe& recipe, std::vector<std::string>& warnings) {
  ASSAY_ASSIGN(const auto parsed, parse_rules(rules));
  std::vector<bool> used(parsed.size(), false);
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    if (!is_quantizable(tensor)) continue;
    for (size_t i = 0; i < parsed.size(); ++i) {
      if (!std::regex_search(tensor.name, parsed[i].first)) continue;
      used[i] = true;
      const GgmlType fits = fallback_type(parsed[i].second, tensor.row_length());
      if (fits != parsed[i].second)
        warnings.push_back(fmt::format("{}: rows of {} do not fit {}; {} is used", tensor.name, tensor.row_length(), find_type(parsed[i].second)->name, find_type(fits)->name));
      recipe.types[tensor.name] = fits;
      break;
    }
  }
  for (size_t i = 0; i < used.size(); ++i)
    if (!used[i] && all_must_match) return fail(ErrorCode::kMismatch, {"recipe: '" + printable(rules[i]) + "'", "matches no tensor of the model", "", "a recipe of another model?"});
  return {};
}

Result<Outcome> quantize(const Options& options, Context& context) {
  if (options.type.empty() == options.recipe.empty()) return fail(ErrorCode::kUsage, "quantize: give --type or --recipe");
  ASSAY_ASSIGN(const auto checkpoint, Checkpoint::open(options.model));
  std::optional<Imatrix> imatrix;
  if (!options.imatrix.empty()) {
    ASSAY_ASSIGN(imatrix, read_imatrix(options.imatrix));
  }
  OutputRequest request;
  request.imatrix = imatrix ? &*imatrix : nullptr;
  request.imatrix_path = options.imatrix;
  std::vector<std::string> warnings;
  if (!options.type.empty()) {
    ASSAY_ASSIGN(const Preset* preset, find_preset(options.type));
    PresetContext preset_facts = preset_context(checkpoint->metadata(), imatrix.has_value());
    preset_facts.pure = options.pure;
    request.recipe = preset_recipe(*preset, checkpoint->tensors(), preset_facts);
    request.file_type = preset->file_type;
  } else {
    ASSAY_ASSIGN(const auto rules, read_rules(options.recipe));
    ASSAY_TRY(apply_rules(*checkpoint, rules, true, request.recipe, warnings));
    request.file_type = 15;
  }
  std::vector<std::string> overrides = options.tensor_types;
  if (!options.tensor_type_file.empty()) {
    ASSAY_ASSIGN(const auto more, read_rules(options.tensor_type_file));
    overrides.insert(overrides.end(), more.begin(), more.end());
  }
  ASSAY_TRY(apply_rules(*checkpoint, overrides, false, request.recipe, warnings));
  const std::string head = checkpoint->find("output.weight") != nullptr ? "output.weight" : "token_embd.weight";
  if (!options.output_type.empty()) ASSAY_TRY(apply_rules(*checkpoint, {"^" + head + "$=" + options.output_type}, false, request.recipe, warnings));
  if (!options.embedding_type.empty()) ASSAY_TRY(apply_rules(*checkpoint, {"^token_embd.weight$=" + options.embedding_type}, false, request.recipe, warnings));
  if (options.leave_output) request.recipe.types.erase("output.weight");
  for (const auto& [name, type] : request.recipe.types) {
    if (imatrix && find_type(type)->quantized && !imatrix->entries.contains(name) && name != head && name != "token_embd.weight")
      warnings.push_back(name + ": no entry in the imatrix");
  }
  ASSAY_ASSIGN(const OutputFile output, plan_output(*checkpoint, request));
  Table table({"tensor", "from", "to", "bytes"});
  for (const TensorInfo& tensor : output.tensors) {
    const TensorInfo* before = checkpoint->find(tensor.name);
    if (before->type != tensor.type || is_quantizable(tensor))
      table.add({tensor.name, find_type(before->type)->name, find_type(tensor.type)->name, group_digits(tensor.bytes)});
  }
  if (!options.dry_run) {
    if (options.output.empty()) return fail(ErrorCode::kUsage, "quantize: no output file given (-o OUT.gguf)");
    context.progress.stage("quantize", output.tensors.size());
    ASSAY_TRY(write_model(*checkpoint, output, request.imatrix, options.output, {context.common.force, context.common.threads}, context.progress));
  }
  Outcome outcome;
  outcome.inputs = {options.model, options.imatrix, options.recipe};
  Json types = Json::object();
  for (const TensorInfo& tensor : output.tensors) types[tensor.name] = find_type(tensor.type)->name;
  outcome.result = {{"output", options.dry_run ? Json() : Json(options.output)}, {"bytes", output.file_bytes}, {"tensor_bytes", output.tensor_bytes}, {"bpw", output.bpw()}, {"types", types}, {"warnings", warnings}};
  outcome.text = table.text();
  for (const std::string& warning : warnings) outcome.text += "warning: " + warning + "\n";
  outcome.text += fmt::format("{}: {} bytes, {:.4f} bits per weight\n", options.dry_run ? "dry run" : options.output, group_digits(output.file_bytes), output.bpw());
  return outcome;
}

}  // namespace

Run declare_quantize(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("model", options->model, "GGUF file or Hugging Face directory")->required();
  app.add_option("--output,-o", options->output, "GGUF to write");
  app.add_option("--type", options->type, "preset: Q4_K_M, Q5_K_S, IQ4_XS, ...");
  app.add_option("--recipe", options->recipe, "file of REGEX=TYPE lines");
  app.add_option("--imatrix", options->imatrix, "importance matrix (GGUF or .dat)");
  app.add_option("--tensor-type", options->tensor_types, "REGEX=TYPE: overrides the preset; first match wins");
  app.add_option("--tensor-type-file", options->tensor_type_file, "file of such rules");
  app.add_option("--output-tensor-type", options->output_type, "type of the head");
  app.add_option("--token-embedding-type", options->embedding_type, "type of the token embedding");
  app.add_flag("--leave-output-tensor", options->leave_output, "keep output.weight as it is");
  app.add_flag("--pure", options->pure, "the base type for every matrix");
  app.add_flag("--dry-run", options->dry_run, "print sizes, write nothing");
  app.add_flag("--allow-requantize", options->allow_requantize, "accepted for compatibility: decoding to float is always allowed");
  return [options](Context& context) { return quantize(*options, context); };
}

}  // namespace assay::cli
