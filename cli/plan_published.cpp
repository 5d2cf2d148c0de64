#include "cli/plan_published.h"

#include <fmt/format.h>

#include "assay/base/sha256.h"
#include "assay/base/text.h"
#include "assay/file/atomic_writer.h"
#include "assay/file/byte_source.h"
#include "assay/plan/model_tensors.h"
#include "assay/plan/published_plan.h"
#include "assay/plan/recipe_format.h"
#include "cli/table.h"

namespace assay::cli {
namespace {

constexpr double kMiB = 1 << 20;

Result<PublishedTable> read_table(const std::string& path) {
  ASSAY_ASSIGN(const auto source, open_file(path));
  return read_published_table(*source);
}

Result<uint64_t> budget_of(const PublishedPlanRequest& request, const std::vector<TensorInfo>& tensors) {
  if ((request.bpw > 0) == !request.size.empty())
    return fail(ErrorCode::kUsage, {"plan --published", "needs a size", "one of --bpw and --size", ""});
  if (!request.size.empty()) return parse_size(request.size);
  double elements = 0;
  for (const TensorInfo& tensor : tensors) elements += static_cast<double>(tensor.elements());
  const double bytes = request.bpw * elements / 8;
  if (!(bytes < 0x1p62)) return fail(ErrorCode::kUsage, {"--bpw", "is too large", "", ""});
  return static_cast<uint64_t>(bytes);
}

// By type: tensors, bytes, where the damages come from.
std::string types_text(const PublishedObjective& objective, const PublishedPlan& plan) {
  struct Share {
    size_t rows = 0;
    double damage = 0;
    std::array<size_t, 3> bases{};
  };
  std::map<std::string, Share> shares;
  for (const ObjectiveRow& row : objective.rows) {
    const auto type = plan.document.types.find(row.tensors[0]);
    if (type == plan.document.types.end()) continue;
    for (const ObjectiveCell& cell : row.cells) {
      if (cell.type != type->second) continue;
      Share& share = shares[cell.type];
      ++share.rows;
      share.damage += cell.damage;
      ++share.bases[static_cast<size_t>(cell.basis)];
    }
  }
  Table table({"type", "tensors", "bytes", "damage", "measured", "predicted", "extrapolated"});
  for (const auto& [type, size] : plan.size.by_type) {
    const auto share = shares.find(type);
    std::vector<std::string> cells = {type, group_digits(size.tensors), group_digits(size.bytes), "", "", "", ""};
    if (share != shares.end()) {
      cells[3] = fmt::format("{:.4g}", share->second.damage);
      for (size_t i = 0; i < 3; ++i) cells[4 + i] = group_digits(share->second.bases[i]);
    }
    table.add(std::move(cells));
  }
  return table.text();
}

Json result_json(const PublishedObjective& objective, const PublishedPlan& plan, uint64_t budget, const std::string& solver) {
  Json rows = Json::array();
  for (const ObjectiveRow& row : objective.rows)
    for (const ObjectiveCell& cell : row.cells)
      if (const auto type = plan.document.types.find(row.tensors[0]); type != plan.document.types.end() && type->second == cell.type)
        rows.push_back({{"name", row.name},
                        {"tensors", row.tensors},
                        {"type", cell.type},
                        {"damage", cell.damage},
                        {"standard_error", cell.standard_error},
                        {"basis", name_of(cell.basis)}});
  return {{"objective", objective.estimator},
          {"offset", objective.offset},
          {"saturation", objective.saturation},
          {"slope", objective.common_slope},
          {"type_error", objective.type_error},
          {"cell_error", objective.cell_error},
          {"collapsed", objective.collapsed},
          {"recipe", plan.document.types},
          {"tensor_bytes", plan.size.tensor_bytes},
          {"padded_bytes", plan.size.padded_bytes},
          {"budget_bytes", budget},
          {"bpw", plan.size.bpw()},
          {"solver", solver},
          {"predicted_kl", plan.damage},
          {"standard_error", plan.standard_error},
          {"bound", plan.bound},
          {"gap", plan.gap()},
          {"exact", plan.exact},
          {"per_mib", plan.lambda * kMiB},
          {"rows", std::move(rows)}};
}

std::string fit_text(const PublishedObjective& objective) {
  std::string text = fmt::format("objective {}: offset {:.4g} nats, saturation {:.3g}, slope {:.3g}", objective.estimator, objective.offset,
                                 objective.saturation, objective.common_slope);
  if (objective.type_error > 0) text += fmt::format("; types left out are missed by a factor of {:.2f}", std::exp(objective.type_error));
  text += "\n";
  if (!objective.collapsed.empty())
    text += "the model is destroyed at " + join(objective.collapsed, ", ") + ": nothing is learned from those\n";
  return text;
}

Status write_recipe(const PublishedPlanArguments& arguments, const PublishedPlanRequest& request, const ModelTensors& model,
                    const Outcome& outcome, RecipeDocument document, const Common& common, std::string& losses) {
  ASSAY_ASSIGN(const RecipeFormat* const format, find_recipe_format(arguments.format));
  RecipeProvenance& from = document.provenance;
  ASSAY_TRY(record_model(model, from));
  from.tool = "assay " ASSAY_VERSION;
  for (const std::string& path : {arguments.table, arguments.group0}) {
    ASSAY_ASSIGN(from.inputs[path], sha256_of_file(path));
  }
  ASSAY_ASSIGN(const WrittenRecipe written, format->write(document, model.tensors));
  for (const std::string& loss : written.losses) losses += "not written: " + loss + "\n";
  return write_text_file(request.output, written.text, {common.force, outcome.inputs, 0});
}

}  // namespace

CLI::Option* add_published_options(CLI::App& app, PublishedPlanArguments& arguments) {
  CLI::Option* const table = app.add_option("--published", arguments.table, "kld_results.csv: tensors measured one at a time by others");
  app.add_option("--group0", arguments.group0, "with --published: the whole model's damage at each type")->needs(table);
  app.add_option("--map", arguments.map, "with --published: tensors.bf16.map, in place of MODEL; no weights are needed")->needs(table);
  app.add_option("--objective", arguments.objective, "with --published: roles (curves of roles) or rank-1 (one curve for all)")
      ->needs(table)
      ->capture_default_str();
  app.add_option("--exponent", arguments.exponent, "with --published: of the tensors' sensitivities, by which the solver chooses")
      ->needs(table)
      ->check(CLI::Range(0.0, 8.0))
      ->capture_default_str();
  app.add_option("--to", arguments.format, "with --published: the recipe's format, as recipe convert has it")
      ->needs(table)
      ->capture_default_str();
  app.add_option("--table-output", arguments.table_output, "with --published: write the damage table, of ggml's types")->needs(table);
  return table;
}

Result<Outcome> plan_published_tables(const PublishedPlanArguments& arguments, const PublishedPlanRequest& request, Context& context) {
  if (arguments.group0.empty())
    return fail(ErrorCode::kUsage, {"plan --published", "needs --group0", "the curve of the whole model over types", ""});
  if (arguments.map.empty() == request.model.empty())
    return fail(ErrorCode::kUsage, {"plan --published", "needs the model's tensors", "one of --map and MODEL", ""});
  Outcome outcome;
  ASSAY_ASSIGN(const PublishedModel which, find_published_model(arguments.objective));
  std::string path = arguments.map.empty() ? request.model : arguments.map;
  ASSAY_TRY(locate_model(path, context));
  ASSAY_ASSIGN(const ModelTensors model, open_model_tensors(path));
  ASSAY_ASSIGN(const PublishedTable table, read_table(arguments.table));
  ASSAY_ASSIGN(const PublishedTable group0, read_table(arguments.group0));
  outcome.inputs = {path, arguments.table, arguments.group0};
  std::vector<MappedTensor> map;
  for (const TensorInfo& tensor : model.tensors) map.push_back(mapped_tensor(tensor));
  PublishedOptions options;
  options.model = which;
  if (!request.types.empty()) options.types = split(request.types, ',');
  ASSAY_ASSIGN(const PublishedObjective objective, published_objective(table, group0, map, options));
  PublishedPlanOptions plan_options;
  plan_options.solver = request.solver;
  plan_options.exponent = arguments.exponent;
  ASSAY_ASSIGN(plan_options.budget, budget_of(request, model.tensors));
  ASSAY_ASSIGN(const PublishedPlan plan, plan_published(objective, model.tensors, plan_options));
  outcome.result = result_json(objective, plan, plan_options.budget, request.solver);
  outcome.text = types_text(objective, plan) + fit_text(objective);
  outcome.text += fmt::format("{} bytes of tensors, {} with padding, of {}; {:.4f} bits per weight\n", group_digits(plan.size.tensor_bytes),
                              group_digits(plan.size.padded_bytes), group_digits(plan_options.budget), plan.size.bpw());
  outcome.text += fmt::format("predicted damage {:.6g}{}, bound {:.6g}, gap {:.4f} %{}; one MiB more would save {:.4g}\n", plan.damage,
                              plan.standard_error > 0 ? fmt::format(" (standard error {:.2g})", plan.standard_error) : "", plan.bound,
                              100 * plan.gap(), plan.exact ? " (proven optimal)" : "", plan.lambda * kMiB);
  for (const std::string& warning : plan.warnings) outcome.text += warning + "\n";
  if (!arguments.table_output.empty()) {
    ASSAY_ASSIGN(const DamageTable damages, damage_table_of(objective));
    ASSAY_TRY(write_text_file(arguments.table_output, to_json(damages), {context.common.force, outcome.inputs, 0}));
  }
  if (!request.output.empty()) ASSAY_TRY(write_recipe(arguments, request, model, outcome, plan.document, context.common, outcome.text));
  return outcome;
}

}  // namespace assay::cli
