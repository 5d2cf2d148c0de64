// `assay plan`: a recipe from a damage table, or the whole curve of size against damage. Tables of others: plan_published.cpp.
#include <fmt/format.h>

#include <algorithm>

#include "assay/base/sha256.h"
#include "assay/base/text.h"
#include "assay/file/atomic_writer.h"
#include "assay/file/json_text.h"
#include "assay/plan/allocate.h"
#include "assay/plan/budget.h"
#include "assay/plan/model_tensors.h"
#include "assay/plan/plan_document.h"
#include "assay/plan/recipe_format.h"
#include "assay/plan/runtime_memory.h"
#include "assay/plan/solver.h"
#include "assay/report/figure.h"
#include "cli/command.h"
#include "cli/plan_objectives.h"
#include "cli/plan_proxy.h"
#include "cli/plan_published.h"
#include "cli/table.h"

namespace assay::cli {
namespace {

constexpr double kMiB = 1 << 20;

struct Options {
  std::string backend;
  std::string model, output, types, min_type, size, like, figure;
  double bpw = 0;
  bool frontier = false;
  AllocateConstraints constraints;
  std::vector<std::string> keep, types_of, at_least, device_sizes, fuse;
  std::string speeds, vram, kv_type = "f16";
  RuntimeRequest runtime;
  ObjectiveArguments objective;
  ProxyArguments proxy;
  PublishedPlanArguments published;
  // The files that are read.
  std::vector<std::string> inputs() const {
    std::vector<std::string> files = {model};
    files.insert(files.end(), objective.tables.begin(), objective.tables.end());
    for (const std::string& path : {objective.interactions, proxy.facts, proxy.errors, proxy.measured})
      if (!path.empty()) files.push_back(path);
    return files;
  }
};

Status read_constraints(Options& options) {
  AllocateConstraints& constraints = options.constraints;
  if (!options.types.empty()) {
    ASSAY_ASSIGN(constraints.types, parse_types(options.types));
  }
  if (!options.min_type.empty()) {
    ASSAY_ASSIGN(const auto least, parse_types(options.min_type));
    constraints.min_type = least[0];
  }
  if (!options.backend.empty()) {
    ASSAY_ASSIGN(constraints.backend, find_backend(options.backend));
  }
  for (const std::string& rule : options.keep) {
    ASSAY_ASSIGN(const auto parts, rule_of("--keep", rule));
    ASSAY_ASSIGN(const auto type, parse_types(parts.second));
    constraints.keep.emplace_back(parts.first, type[0]);
  }
  for (const std::string& rule : options.at_least) {
    ASSAY_ASSIGN(const auto parts, rule_of("--at-least", rule));
    ASSAY_ASSIGN(const auto type, parse_types(parts.second));
    constraints.at_least.emplace_back(parts.first, type[0]);
  }
  for (const std::string& rule : options.types_of) {
    ASSAY_ASSIGN(const auto parts, rule_of("--types-of", rule, "REGEX=TYPE,TYPE"));
    ASSAY_ASSIGN(auto types, parse_types(parts.second));
    constraints.types_of.emplace_back(parts.first, std::move(types));
  }
  for (const std::string& rule : options.device_sizes) {
    ASSAY_ASSIGN(const auto parts, rule_of("--device-size", rule, "REGEX=SIZE"));
    ASSAY_ASSIGN(const uint64_t bytes, parse_size(parts.second));
    constraints.device_bytes.emplace_back(parts.first, bytes);
  }
  for (const std::string& roles : options.fuse) constraints.fused.push_back(split(roles, ','));
  if (options.speeds.empty()) return {};
  ASSAY_ASSIGN(const std::string text, read_text_file(options.speeds));
  ASSAY_ASSIGN(const Json json, parse_json(text, options.speeds, RepeatedKeys::kRefuse));
  const std::string needed = "{\"Q4_K\": 1.0, \"IQ3_S\": 1.7, ...}, time per weight in any unit";
  if (!json.is_object()) return fail(ErrorCode::kBadInput, {options.speeds, "is no JSON object", needed, ""});
  for (const auto& [name, value] : json.items()) {
    ASSAY_ASSIGN(const auto type, parse_types(name));
    if (!value.is_number() || !(value.get<double>() > 0))
      return fail(ErrorCode::kBadInput, {options.speeds, printable(name) + " is no time", needed, ""});
    constraints.speeds.per_weight[type[0]] = value.get<double>();
  }
  return {};
}

Json upgrade_json(const PlanUpgrade& one) {
  return {
      {"row", one.row}, {"from", find_type(one.from)->name}, {"to", find_type(one.to)->name}, {"bytes", one.bytes}, {"saved", one.saved}};
}

// YAML says where the recipe came from and what it promises; another name gets llama-quantize's lines.
Status write_recipe(const Options& options, const Plan& plan, const DamageTable& table, const ModelTensors& model, const Outcome& outcome,
                    bool force) {
  if (!options.output.ends_with(".yaml") && !options.output.ends_with(".yml"))
    return write_text_file(options.output, to_text(plan.recipe), {force, outcome.inputs, 0});
  ASSAY_ASSIGN(RecipeDocument document, plan_document(plan, table, model));
  document.provenance.tool = "assay " ASSAY_VERSION;
  for (const std::string& path : options.inputs()) {
    if (path == options.model) continue;
    ASSAY_ASSIGN(document.provenance.inputs[path], sha256_of_file(path));
  }
  ASSAY_ASSIGN(const WrittenRecipe written, kYamlFormat.write(document, model.tensors));
  return write_text_file(options.output, written.text, {force, outcome.inputs, 0});
}

Result<Outcome> plan_one(const Options& options, const ModelTensors& model, const PlanObjective& objective, const Common& common) {
  const Checkpoint& checkpoint = *model.checkpoint;
  BudgetRequest budget;
  if (options.bpw > 0) budget.bpw = options.bpw;
  if (!options.size.empty()) budget.size = options.size;
  if (!options.like.empty()) budget.like = options.like;
  RuntimeMemory runtime;
  if (!options.vram.empty()) {
    ASSAY_ASSIGN(const uint64_t device, parse_size(options.vram));
    ASSAY_ASSIGN(const Hyper hyper, parse_hyper(checkpoint.metadata(), checkpoint.find("output.weight") != nullptr));
    ASSAY_ASSIGN(runtime, runtime_memory(hyper, options.runtime));
    if (runtime.total() >= device)
      return fail(ErrorCode::kUsage,
                  {"--vram " + options.vram, "leaves nothing for weights",
                   format_bytes(runtime.kv_cache) + " of KV cache and " + format_bytes(runtime.compute) + " of compute buffer",
                   "a shorter --context or a smaller --kv-type"});
    budget.size = std::to_string(device - runtime.total());
  }
  ASSAY_ASSIGN(const uint64_t bytes, budget_bytes(checkpoint, budget, {}));
  ASSAY_ASSIGN(const ObjectivePlan made, objective.solve(checkpoint, bytes, options.constraints));
  const Plan& plan = made.plan;
  Outcome outcome;
  outcome.inputs = options.inputs();
  Json recipe = Json::object(), next = Json::array();
  Table lines({"tensor", "type"}), upgrades({"next upgrade", "from", "to", "bytes", "damage saved", "per MiB"});
  for (const auto& [name, type] : plan.recipe.types) {
    recipe[name] = find_type(type)->name;
    lines.add({name, find_type(type)->name});
  }
  for (const PlanUpgrade& one : plan.next) {
    next.push_back(upgrade_json(one));
    upgrades.add({one.row, find_type(one.from)->name, find_type(one.to)->name, group_digits(one.bytes), fmt::format("{:.4g}", one.saved),
                  fmt::format("{:.4g}", one.saved / static_cast<double>(one.bytes) * kMiB)});
  }
  outcome.result = {{"recipe", recipe},
                    {"bytes", plan.file_bytes},
                    {"budget_bytes", plan.budget_bytes},
                    {"bpw", plan.bpw},
                    {"solver", options.constraints.solver},
                    {"preset", plan.preset.empty() ? Json() : Json(plan.preset)},
                    {"unit", objective.table().unit},
                    {"predicted_kl", plan.predicted_damage},
                    {"standard_error", standard_error_of(plan.recipe, objective.table())},
                    {"bound", plan.bound},
                    {"gap", plan.gap},
                    {"exact", plan.exact},
                    {"per_mib", plan.lambda * kMiB},
                    {"next", std::move(next)}};
  outcome.result.update(made.facts);
  outcome.text = lines.text() +
                 fmt::format("{} of {} bytes, {:.4f} bits per weight; predicted damage {:.6g}, bound {:.6g}, gap {:.4f} %{}\n",
                             group_digits(plan.file_bytes), group_digits(plan.budget_bytes), plan.bpw, plan.predicted_damage, plan.bound,
                             100 * plan.gap, plan.exact ? " (proven optimal)" : "") +
                 made.text;
  if (!plan.preset.empty()) outcome.text += "the best preset that fits: " + plan.preset + "\n";
  Json limits = Json::array();
  for (const PlanLimit& limit : plan.limits) {
    limits.push_back({{"name", limit.name}, {"used", limit.used}, {"most", limit.most}, {"price", limit.price}});
    const bool time = limit.name == "time";
    outcome.text +=
        time ? fmt::format("time: {:.3f} of {:.3f} times the fastest recipe; a hundredth more would save {:.4g}\n", limit.used, limit.most,
                           limit.price / 100)
             : fmt::format("{}: {} of {}; one MiB more would save {:.4g}\n", limit.name, format_bytes(static_cast<uint64_t>(limit.used)),
                           format_bytes(static_cast<uint64_t>(limit.most)), limit.price * kMiB);
  }
  outcome.result["limits"] = std::move(limits);
  if (runtime.total() > 0) {
    outcome.result["runtime"] = {{"kv_cache", runtime.kv_cache}, {"compute", runtime.compute}, {"weights", plan.file_bytes}};
    outcome.text += fmt::format("at run time: weights {} + KV cache {} + compute buffer {} (estimate) = {} of {}\n",
                                format_bytes(plan.file_bytes), format_bytes(runtime.kv_cache), format_bytes(runtime.compute),
                                format_bytes(plan.file_bytes + runtime.total()), options.vram);
  }
  outcome.text += fmt::format("one MiB more would save {:.4g} (shadow price)\n", plan.lambda * kMiB);
  if (!plan.next.empty()) outcome.text += upgrades.text();
  Json said = Json::array();
  for (const auto* list : {&objective.warnings(), &plan.warnings})
    for (const std::string& warning : *list) {
      outcome.text += warning + "\n";
      said.push_back(warning);
    }
  outcome.result["warnings"] = std::move(said);
  if (!options.output.empty()) ASSAY_TRY(write_recipe(options, plan, objective.table(), model, outcome, common.force));
  return outcome;
}

// Every so many points, the first and the last among them.
std::vector<size_t> some_of(size_t count, size_t most) {
  std::vector<size_t> places;
  for (size_t i = 0; i < std::min(count, most); ++i) places.push_back(count <= most ? i : i * (count - 1) / (most - 1));
  return places;
}

Figure figure_of(const Frontier& frontier, const std::string& title) {
  Figure figure;
  figure.title = "Size against predicted damage";
  figure.subtitle = title;
  figure.x = {"bits per weight"};
  figure.y = {"predicted damage", "nats per token", AxisScale::kLog10};
  Line line{"", {}, false};
  for (const FrontierPoint& point : frontier.points) line.points.push_back({point.bpw, point.damage, {}});
  figure.series.emplace_back(std::move(line));
  figure.footnote = fmt::format("Convex hull of all recipes, {} points: at their sizes nothing is better.", frontier.points.size());
  return figure;
}

Result<Outcome> plan_curve(const Options& options, const Checkpoint& checkpoint, const PlanObjective& objective, const Common& common) {
  ASSAY_ASSIGN(const DamageTable table, objective.curve_table());
  ASSAY_ASSIGN(const Frontier frontier, plan_frontier(checkpoint, table, options.constraints, {}));
  Outcome outcome;
  outcome.inputs = options.inputs();
  Json points = Json::array();
  for (const FrontierPoint& point : frontier.points) {
    Json json = {{"bytes", point.file_bytes}, {"bpw", point.bpw}, {"damage", point.damage}};
    if (!point.upgrade.row.empty()) json["upgrade"] = upgrade_json(point.upgrade);
    points.push_back(std::move(json));
  }
  constexpr size_t kLines = 24;
  Table lines({"bits per weight", "bytes", "predicted damage", "saved by a MiB", "last upgrade"});
  for (const size_t i : some_of(frontier.points.size(), kLines)) {
    const FrontierPoint& point = frontier.points[i];
    const PlanUpgrade& up = point.upgrade;
    lines.add({fmt::format("{:.3f}", point.bpw), group_digits(point.file_bytes), fmt::format("{:.4g}", point.damage),
               up.row.empty() ? "" : fmt::format("{:.3g}", up.saved / static_cast<double>(up.bytes) * kMiB),
               up.row.empty() ? "" : fmt::format("{} {} to {}", up.row, find_type(up.from)->name, find_type(up.to)->name)});
  }
  outcome.result = {{"frontier", std::move(points)}};
  outcome.text = lines.text();
  if (frontier.points.size() > kLines)
    outcome.text += fmt::format("{} of {} points; all with --json\n", kLines, group_digits(frontier.points.size()));
  for (const auto* list : {&objective.warnings(), &frontier.warnings})
    for (const std::string& warning : *list) outcome.text += warning + "\n";
  if (!options.figure.empty()) {
    OutputOptions output;
    output.force = common.force;
    ASSAY_TRY(write_figure(options.figure, figure_of(frontier, options.model), output));
  }
  return outcome;
}

std::string backend_help() {
  std::vector<std::string> names;
  for (const Backend& backend : all_backends()) names.emplace_back(backend.name);
  return "only types that this backend of llama.cpp multiplies with: " + join(names, ", ");
}

std::string solver_help() {
  std::string help = "exact, or to compare:";
  for (const Solver& solver : all_solvers())
    if (solver.name != "exact") help += fmt::format(" {} ({});", solver.name, solver.what);
  help.pop_back();
  return help;
}

}  // namespace

Run declare_plan(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("model", options->model, kModelHelp);
  CLI::Option* const own = add_objective_options(app, options->objective);
  CLI::Option* const proxy = add_proxy_options(app, options->proxy)->excludes(own);
  CLI::Option* const published = add_published_options(app, options->published);
  app.add_option("--output,-o", options->output,
                 "recipe file to write: REGEX=TYPE lines, or with .yaml ours, with provenance and prediction");
  app.add_option("--bpw", options->bpw, "bits per weight over all tensor bytes");
  app.add_option("--size", options->size, "file size: 700MiB, 30%");
  app.add_option("--like", options->like, "the bytes of a preset's file");
  app.add_option("--types", options->types, "allowed types");
  app.add_option("--min-type", options->min_type, "no type with fewer bits than this one");
  app.add_option("--backend", options->backend, backend_help());
  app.add_option("--keep", options->keep, "REGEX=TYPE: tensors that must take a type");
  app.add_option("--types-of", options->types_of, "REGEX=TYPE,TYPE: allowed types of some tensors");
  app.add_option("--at-least", options->at_least, "REGEX=TYPE: no fewer bits for some tensors");
  app.add_option("--device-size", options->device_sizes, "REGEX=SIZE: most bytes that those tensors may take together (a device's share)");
  app.add_option("--fuse", options->fuse, "ROLE,ROLE: roles of a block that must share a type (ffn_gate,ffn_up)");
  CLI::Option* speeds = app.add_option("--speeds", options->speeds, "JSON {type: time per weight}; types not in it are not used");
  app.add_option("--max-slowdown", options->constraints.speeds.most, "with --speeds: at most so many times the fastest recipe's time")
      ->needs(speeds)
      ->check(CLI::Range(1.0, 1e6));
  CLI::Option* vram = app.add_option("--vram", options->vram, "memory of the device: weights, KV cache and compute buffer fit in it");
  app.add_option("--context", options->runtime.context, "with --vram: tokens of the KV cache")->needs(vram)->capture_default_str();
  app.add_option("--kv-type", options->kv_type, "with --vram: type of keys and values")->needs(vram)->capture_default_str();
  app.add_option("--ubatch", options->runtime.batch, "with --vram: tokens of one step")->needs(vram)->capture_default_str();
  app.add_option("--solver", options->constraints.solver, solver_help())->capture_default_str();
  CLI::Option* frontier = app.add_flag("--frontier", options->frontier, "the whole curve of size against damage in place of one recipe");
  app.add_option("--figure", options->figure, "with --frontier: draw it, as .svg or .png")->needs(frontier);
  for (const char* name : {"--like", "--min-type", "--backend", "--keep", "--types-of", "--at-least", "--device-size", "--fuse", "--speeds",
                           "--vram", "--frontier"})
    published->excludes(app.get_option(name));
  published->excludes(own)->excludes(proxy);
  return [options](Context& context) -> Result<Outcome> {
    if (!options->published.table.empty())
      return plan_published_tables(
          options->published, {options->model, options->types, options->size, options->constraints.solver, options->output, options->bpw},
          context);
    if (options->model.empty() || (options->objective.tables.empty() && options->proxy.facts.empty()))
      return fail(ErrorCode::kUsage,
                  {"plan", "needs a model and a table", "MODEL --table FILE, MODEL --proxy FILE, or --published FILE", ""});
    ASSAY_TRY(read_constraints(*options));
    ASSAY_ASSIGN(const auto kv_type, parse_types(options->kv_type));
    options->runtime.kv_type = kv_type[0];
    ASSAY_ASSIGN(const Solver* const known, find_solver(options->constraints.solver));
    (void)known;
    ASSAY_TRY(locate_model(options->model, context));
    ModelTensors model;
    model.path = options->model;
    ASSAY_ASSIGN(model.checkpoint, Checkpoint::open(options->model));
    model.tensors = model.checkpoint->tensors();
    ASSAY_ASSIGN(const PlanObjective objective,
                 PlanObjective::open(options->objective, options->proxy, model, options->constraints.types, context.common.force));
    return options->frontier ? plan_curve(*options, *model.checkpoint, objective, context.common)
                             : plan_one(*options, model, objective, context.common);
  };
}

}  // namespace assay::cli
