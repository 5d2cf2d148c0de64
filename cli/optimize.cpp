#include <fmt/format.h>

#include "assay/base/sha256.h"
#include "assay/base/text.h"
#include "assay/file/atomic_writer.h"
#include "assay/plan/recipe_file.h"
#include "cli/command.h"
#include "cli/table.h"

namespace assay::cli {
namespace {

Json file_json(const MeasuredFile& file) {
  return {{"name", file.name},
          {"bytes", file.bytes},
          {"bpw", file.bpw},
          {"measured_kl", file.mean_kl.value},
          {"measured_kl_ci95", interval_json(file.mean_kl)},
          {"ppl", file.ppl}};
}

Outcome outcome_of(const OptimizeResult& r, const OptimizeOptions& options) {
  Outcome outcome;
  outcome.inputs = {options.model, options.calibration, options.evaluation};
  outcome.inputs.insert(outcome.inputs.end(), options.guards.begin(), options.guards.end());
  outcome.noise_floor = r.noise_floor;
  Json& json = outcome.result;
  json["bytes"] = r.measured.bytes;
  json["bpw"] = r.measured.bpw;
  Json recipe = Json::object();
  for (const auto& [name, type] : r.plan.recipe.types) recipe[name] = find_type(type)->name;
  json["recipe"] = std::move(recipe);
  json["predicted_kl"] = r.plan.predicted_damage;
  json["measured_kl"] = r.measured.mean_kl.value;
  json["measured_kl_ci95"] = interval_json(r.measured.mean_kl);
  json["ppl"] = r.measured.ppl;
  json["base_ppl"] = r.base_ppl;
  json["preset"] = r.preset ? file_json(*r.preset) : Json();
  json["larger_preset"] = r.larger ? file_json(*r.larger) : Json();
  json["preset_codes"] = r.preset_codes ? file_json(*r.preset_codes) : Json();
  json["preset_codes_change"] = r.preset_codes ? Json(r.preset_codes_change.value) : Json();
  json["preset_codes_change_ci95"] = r.preset_codes ? interval_json(r.preset_codes_change) : Json();
  json["codes"] = name_of(options.codes);
  json["damping"] = r.damping;
  json["change"] = r.preset ? Json(r.change.value) : Json();
  json["change_ci95"] = r.preset ? interval_json(r.change) : Json();
  json["budget_bytes"] = r.plan.budget_bytes;
  json["bound"] = r.plan.bound;
  json["gap"] = r.plan.gap;
  json["accepted"] = r.accepted;
  Json guards = Json::array();
  for (const GuardOutcome& guard : r.guards)
    guards.push_back({{"text", guard.text},
                      {"file", file_json(guard.ours)},
                      {"preset", file_json(guard.preset)},
                      {"change", guard.change.value},
                      {"change_ci95", interval_json(guard.change)},
                      {"passed", guard.passed}});
  json["guards"] = std::move(guards);
  json["guard_margin"] = options.guard_margin;
  json["tokens_scored"] = r.tokens_scored;
  json["windows"] = r.windows;
  json["documents"] = r.documents;
  json["interval"] = r.interval_method;
  json["warnings"] = r.warnings;
  Json stages = Json::array();
  for (const StageTime& stage : r.stages)
    stages.push_back({{"name", stage.name}, {"seconds", stage.seconds}, {"peak_memory_bytes", stage.peak_memory_bytes}});
  outcome.run_facts["stages"] = std::move(stages);
  add_units(r.units, outcome);

  Table files({"file", "bytes", "bpw", "mean KL", "95 % interval", "perplexity"});
  const auto add = [&](const MeasuredFile& file, const std::string& label) {
    files.add({label, group_digits(file.bytes), fmt::format("{:.4f}", file.bpw), fmt::format("{:.6f}", file.mean_kl.value),
               fmt::format("[{:.6f}, {:.6f}]", file.mean_kl.low, file.mean_kl.high), fmt::format("{:.4f}", file.ppl)});
  };
  add(r.measured, "assay");
  if (r.preset) add(*r.preset, r.preset->name + " (fits)");
  if (r.preset_codes) add(*r.preset_codes, r.preset_codes->name);
  if (r.larger) add(*r.larger, r.larger->name + " (larger)");
  files.add({"unquantized", "", "", "0", "", fmt::format("{:.4f}", r.base_ppl)});
  outcome.text = files.text() + "\n";
  if (r.preset) {
    outcome.text += fmt::format("KL divergence against {}: {:+.1f} % [{:+.1f}, {:+.1f}] ({}, {} documents)\n", r.preset->name,
                                100 * r.change.value, 100 * r.change.low, 100 * r.change.high, r.interval_method, r.documents);
  } else {
    outcome.text += "no stock preset fits this budget\n";
  }
  outcome.text += fmt::format("predicted KL {:.6f}; plan within {:.3f} % of the bound{}; noise floor {:.2g}\n", r.plan.predicted_damage,
                              100 * r.plan.gap, r.plan.exact ? " (proven optimal)" : "", r.noise_floor);
  for (const std::string& warning : r.warnings) outcome.text += "warning: " + warning + "\n";
  for (const GuardOutcome& guard : r.guards)
    outcome.text +=
        fmt::format("guard {}: KL {:.6f} against {:.6f}, {:+.1f} % [{:+.1f}, {:+.1f}]; at most {:+.1f} % allowed: {}\n", guard.text,
                    guard.ours.mean_kl.value, guard.preset.mean_kl.value, 100 * guard.change.value, 100 * guard.change.low,
                    100 * guard.change.high, 100 * options.guard_margin, guard.passed ? "passed" : "failed");
  if (!r.accepted && r.preset)
    outcome.text += r.measured.mean_kl.value < r.preset->mean_kl.value
                        ? "a guarded text may get worse: the preset was written instead\n"
                        : "the solved recipe is not better on the evaluation text: the preset was written instead\n";
  Table times({"stage", "seconds", "peak memory"});
  for (const StageTime& stage : r.stages)
    times.add({stage.name, fmt::format("{:.1f}", stage.seconds), format_bytes(stage.peak_memory_bytes)});
  outcome.text += "\n" + times.text() + "\nwritten: " + options.output + "\n";
  return outcome;
}

// Of the file that was written, whether its types are the plan's or a preset's; the prediction is told only of the plan's.
Status write_recipe(const OptimizeResult& r, const OptimizeOptions& options, const std::string& path, const Outcome& outcome) {
  ASSAY_ASSIGN(RecipeFile file, read_recipe_file(options.output, {}));
  RecipeDocument& document = file.document;
  ASSAY_ASSIGN(const ModelTensors model, open_model_tensors(options.model));
  ASSAY_TRY(record_model(model, document.provenance));
  document.provenance.tool = "assay " ASSAY_VERSION;
  for (const std::string& input : outcome.inputs)
    if (input != options.model) {
      ASSAY_ASSIGN(document.provenance.inputs[input], sha256_of_file(input));
    }
  document.prediction.file_bytes = r.measured.bytes;
  if (r.accepted) {
    document.prediction.damage = r.plan.predicted_damage;
    document.prediction.bound = r.plan.bound;
    document.prediction.tensor_bytes = r.plan.tensor_bytes;
  }
  ASSAY_ASSIGN(const WrittenRecipe written, kYamlFormat.write(document, model.tensors));
  return write_text_file(path, written.text, {options.force, outcome.inputs, 0});
}

}  // namespace

Run declare_optimize(CLI::App& app) {
  struct Extra {
    double bpw = 0;
    std::string size, like, types, min_type, recipe;
    std::vector<std::string> keep;
  };
  auto options = std::make_shared<OptimizeOptions>();
  auto extra = std::make_shared<Extra>();
  app.add_option("model", options->model, kModelHelp)->required();
  auto* bpw = app.add_option("--bpw", extra->bpw, "budget in bits per weight over all tensor bytes");
  auto* size = app.add_option("--size", extra->size, "budget as file size: 700MiB, 1.5GiB, 30%")->excludes(bpw);
  app.add_option("--like", extra->like, "the bytes of a preset's file, e.g. Q4_K_M")->excludes(bpw)->excludes(size);
  app.add_option("--calibration", options->calibration, "text to calibrate on: a file, or wikitext-2:train")->required();
  app.add_option("--evaluation", options->evaluation, "held-out text to measure on: a file, or wikitext-2:test")->required();
  app.add_option("--guard", options->guards,
                 "text of another domain, repeatable: there, too, the file may not be worse than the preset beyond --guard-margin");
  app.add_option("--guard-margin", options->guard_margin,
                 "largest change of mean KL on a guarded text that the 95 % interval may hold, as a share")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 100.0));
  app.add_option("--output,-o", options->output, "GGUF to write")->required();
  app.add_option("--recipe-output", extra->recipe, "write the file's types too, with where they came from, as a YAML recipe");
  app.add_option("--types", extra->types, "allowed types, e.g. Q4_K,Q5_K,Q6_K");
  app.add_option("--min-type", extra->min_type, "no type with fewer bits than this one");
  app.add_option("--keep", extra->keep, "REGEX=TYPE: tensors that must take a type");
  app.add_option_function<std::string>(
         "--codes", [options](const std::string& codes) { options->codes = *find_codes(codes); },
         "how codes are chosen: best, feedback (faster), or nearest (as llama.cpp does; fastest)")
      ->check(CLI::IsMember({"nearest", "feedback", "best"}));
  app.add_option("--token-fraction", options->token_fraction, "share of calibration tokens in the per-type products")
      ->capture_default_str()
      ->check(CLI::Range(0.001, 1.0));
  auto text = add_text_options(app, false);
  return [=](Context& context) -> Result<Outcome> {
    if (extra->bpw > 0) options->budget.bpw = extra->bpw;
    if (!extra->size.empty()) options->budget.size = extra->size;
    if (!extra->like.empty()) options->budget.like = extra->like;
    if (!extra->types.empty()) {
      ASSAY_ASSIGN(options->constraints.types, parse_types(extra->types));
    }
    if (!extra->min_type.empty()) {
      ASSAY_ASSIGN(const auto least, parse_types(extra->min_type));
      options->constraints.min_type = least[0];
    }
    for (const std::string& rule : extra->keep) {
      ASSAY_ASSIGN(const auto parts, rule_of("--keep", rule));
      ASSAY_ASSIGN(const auto type, parse_types(parts.second));
      options->constraints.keep.emplace_back(parts.first, type[0]);
    }
    ASSAY_TRY(locate_model(options->model, context));
    ASSAY_TRY(locate_text(options->calibration, context));
    ASSAY_TRY(locate_text(options->evaluation, context));
    for (std::string& guard : options->guards) ASSAY_TRY(locate_text(guard, context));
    options->windows = text->windows;
    options->force = context.common.force;
    std::vector<std::string> inputs = {options->model, options->calibration, options->evaluation};
    inputs.insert(inputs.end(), options->guards.begin(), options->guards.end());
    ASSAY_TRY(context.begin(inputs));
    ASSAY_ASSIGN(Engine * engine, context.engine());
    ASSAY_ASSIGN(const OptimizeResult result, engine->optimize(*options, context.settings, context.progress));
    Outcome outcome = outcome_of(result, *options);
    if (!extra->recipe.empty()) ASSAY_TRY(write_recipe(result, *options, extra->recipe, outcome));
    return outcome;
  };
}

}  // namespace assay::cli
