#include <fmt/format.h>

#include "assay/base/sha256.h"
#include "assay/base/text.h"
#include "assay/file/atomic_writer.h"
#include "assay/plan/recipe_file.h"
#include "assay/plan/solver.h"
#include "cli/command.h"
#include "cli/refine_report.h"
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

Json guards_json(const std::vector<GuardOutcome>& guards) {
  Json json = Json::array();
  for (const GuardOutcome& guard : guards)
    json.push_back({{"text", guard.text},
                    {"file", file_json(guard.ours)},
                    {"preset", file_json(guard.preset)},
                    {"change", guard.change.value},
                    {"change_ci95", interval_json(guard.change)},
                    {"passed", guard.passed}});
  return json;
}

Json tried_json(const TriedFile& tried) {
  return {{"file", file_json(tried.file)},
          {"change", tried.change.value},
          {"change_ci95", interval_json(tried.change)},
          {"guards", guards_json(tried.guards)},
          {"passed", tried.passed}};
}

std::string gate_text(const OptimizeResult& r) {
  if (!r.accepted && r.preset)
    return r.measured.mean_kl.value < r.preset->mean_kl.value
               ? "a guarded text may get worse: the preset was written instead\n"
               : "the solved recipe is not better on the evaluation text: the preset was written instead\n";
  if (r.tried.empty()) return "";
  return fmt::format("a guarded text may get worse with '{}': the next that passes, '{}', was written instead\n", r.tried.front().file.name,
                     r.plan_name);
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
  json["guards"] = guards_json(r.guards);
  json["guard_margin"] = options.guard_margin;
  json["plan"] = r.plan_name;
  json["refine"] = r.refine ? refine_json(*r.refine) : Json();
  json["unrefined"] = r.unrefined ? file_json(*r.unrefined) : Json();
  json["unrefined_change"] = r.unrefined ? Json(r.unrefined_change.value) : Json();
  json["unrefined_change_ci95"] = r.unrefined ? interval_json(r.unrefined_change) : Json();
  json["search"] = r.search ? search_json(*r.search) : Json();
  json["tried"] = Json::array();
  for (const TriedFile& tried : r.tried) json["tried"].push_back(tried_json(tried));
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
  if (r.unrefined) add(*r.unrefined, "assay, unrefined");
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
  outcome.text += gate_text(r);
  if (r.search) outcome.text += search_text(*r.search);
  if (r.refine) outcome.text += refine_text(*r.refine);
  if (r.unrefined)
    outcome.text += fmt::format("KL divergence against the unrefined plan, evaluation text: {:+.1f} % [{:+.1f}, {:+.1f}]\n",
                                100 * r.unrefined_change.value, 100 * r.unrefined_change.low, 100 * r.unrefined_change.high);
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
  app.add_option_function<std::string>(
      "--refine", [options](const std::string& budget) { options->refine_text = budget; },
      "measure where the plan is not settled: forward-equivalents (200) or time (10min); 0: plan by predictions alone");
  app.add_option("--refine-regret", options->refine_regret, "stop where the plan may lose less than this share of its damage")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0));
  std::vector<std::string> solvers = {std::string(kEvoPress)};
  std::string solver_help = "exact, or to compare:";
  for (const Solver& solver : all_solvers()) {
    if (solver.name != "exact") solver_help += fmt::format(" {},", solver.name);
    solvers.emplace_back(solver.name);
  }
  app.add_option("--solver", options->constraints.solver, solver_help + " evopress (measures whole recipes)")
      ->capture_default_str()
      ->check(CLI::IsMember(solvers));
  app.add_option("--generations", options->generations, "of --solver evopress; its source runs 150")
      ->capture_default_str()
      ->check(CLI::Range(uint64_t{1}, uint64_t{100000}));
  app.add_option("--offspring", options->offspring, "of --solver evopress: recipes per generation")
      ->capture_default_str()
      ->check(CLI::Range(uint64_t{1}, uint64_t{100000}));
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
    if (!options->refine_text.empty()) {
      ASSAY_ASSIGN(options->refine, parse_refine_budget(options->refine_text));
    }
    if (options->refine.any() && options->constraints.solver != "exact")
      return fail(ErrorCode::kUsage, {"--refine", "was given with --solver " + options->constraints.solver, "--refine solves exactly", ""});
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
