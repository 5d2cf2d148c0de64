#include "cli/plan_proxy.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "assay/base/text.h"
#include "assay/file/atomic_writer.h"
#include "assay/file/json_object.h"
#include "assay/file/json_text.h"
#include "assay/plan/proxy_scores.h"
#include "assay/plan/ramp_facts.h"
#include "assay/plan/recipe_file.h"
#include "assay/plan/recipe_size.h"
#include "cli/table.h"

namespace assay::cli {
namespace {

using T = GgmlType;
const std::vector<GgmlType> kRampTypes = {T::kIQ2_XXS, T::kIQ2_XS, T::kIQ3_XXS, T::kIQ3_S, T::kQ4_K, T::kQ5_K, T::kQ6_K, T::kQ8_0};
constexpr size_t kMostMeasured = 10000;

Result<RampFacts> read_facts(const ProxyArguments& arguments, const ModelStructure& structure, std::vector<std::string>& notes) {
  ASSAY_ASSIGN(const std::string text, read_text_file(arguments.facts));
  RampFacts facts;
  if (holds_scores(text)) {
    ASSAY_ASSIGN(facts, proxy_facts_from_scores(text, arguments.facts, structure));
  } else {
    ASSAY_TRY(read_ramp_sensitivity(text, arguments.facts, facts, notes));
  }
  if (arguments.errors.empty()) return facts;
  ASSAY_ASSIGN(const std::string errors, read_text_file(arguments.errors));
  ASSAY_TRY(read_ramp_errors(errors, arguments.errors, facts, notes));
  return facts;
}

Json calibration_json(const ProxyCalibration& fit) {
  return {{"slope", fit.slope},
          {"intercept", fit.intercept},
          {"r_squared", fit.r_squared},
          {"leave_one_out_rmse", fit.leave_one_out_rmse},
          {"leave_one_out_r_squared", fit.leave_one_out_r_squared ? Json(*fit.leave_one_out_r_squared) : Json()},
          {"spearman", fit.spearman ? Json(*fit.spearman) : Json()},
          {"given_size_r_squared", fit.given_size ? Json(*fit.given_size) : Json()}};
}

}  // namespace

CLI::Option* add_proxy_options(CLI::App& app, ProxyArguments& arguments) {
  CLI::Option* const proxy = app.add_option("--proxy", arguments.facts,
                                            "in place of --table: RAMP's proxy loss, from its sensitivities (JSON) or from `score --scores "
                                            "nsds_ramp,weight_error,weight_norm --types ...`; not nats, and no prediction");
  app.add_option("--proxy-errors", arguments.errors, "with --proxy: RAMP's quantization errors (JSON), in place of its table")
      ->needs(proxy);
  app.add_option("--proxy-groups", arguments.rule, "with --proxy: groups that share a type, by RAMP's rule or by exact role")
      ->needs(proxy)
      ->check(CLI::IsMember({"ramp", "exact"}))
      ->capture_default_str();
  app.add_flag("--proxy-squared", arguments.options.squared, "with --proxy: errors squared, as a second-order loss has them")->needs(proxy);
  app.add_flag("--proxy-kurtosis", arguments.options.kurtosis, "with --proxy: errors grow with kurtosis, by at most 5 %")->needs(proxy);
  app.add_option("--proxy-measured", arguments.measured,
                 "with --proxy: JSON list of {recipe: FILE, measured: number}, at least 3: how well the loss says what was measured")
      ->needs(proxy);
  return proxy;
}

Result<ProxyObjective> ProxyObjective::open(const ProxyArguments& arguments, const Checkpoint& checkpoint, std::vector<GgmlType> types) {
  if (types.empty()) types = kRampTypes;
  const std::span<const TensorInfo> tensors = checkpoint.tensors();
  ASSAY_ASSIGN(ModelStructure structure,
               model_structure({tensors.begin(), tensors.end()}, arguments.rule == "exact" ? GroupRule::kExact : GroupRule::kRamp));
  std::vector<std::string> notes;
  ASSAY_ASSIGN(const RampFacts facts, read_facts(arguments, structure, notes));
  ASSAY_ASSIGN(ProxyLoss loss, ProxyLoss::make(structure, types, facts, arguments.options));
  ProxyObjective objective(std::move(structure), std::move(loss));
  objective.table_ = objective.loss_.table(objective.structure_);
  objective.notes_ = std::move(notes);
  if (!arguments.measured.empty()) ASSAY_TRY(objective.calibrate_on(arguments.measured));
  return objective;
}

// Over groups that have matrices; infinite: a type that the loss was not made for.
double ProxyObjective::loss_of(const Recipe& recipe) const {
  double total = 0;
  for (const DamageRow& row : table_.rows) {
    double weighted = 0, elements = 0;  // of a group whose members differ, the mean
    for (const std::string& name : row.tensors) {
      const auto tensor =
          std::find_if(structure_.tensors.begin(), structure_.tensors.end(), [&](const TensorInfo& one) { return one.name == name; });
      const auto given = recipe.types.find(name);
      const GgmlType type = given == recipe.types.end() ? tensor->type : given->second;
      const auto cell = std::find_if(row.cells.begin(), row.cells.end(), [&](const DamageCell& one) { return one.type == type; });
      if (cell == row.cells.end()) return INFINITY;
      weighted += cell->damage * static_cast<double>(tensor->elements());
      elements += static_cast<double>(tensor->elements());
    }
    total += weighted / elements;
  }
  return total;
}

Status ProxyObjective::calibrate_on(const std::string& path) {
  ASSAY_ASSIGN(const std::string text, read_text_file(path));
  ASSAY_ASSIGN(const nlohmann::json list, parse_json(text, path, RepeatedKeys::kRefuse));
  const JsonPlace top{path, ""};
  ASSAY_TRY(json_list(list, top, 3, kMostMeasured));
  static constexpr std::string_view kKeys[] = {"recipe", "measured"};
  ModelTensors model;
  model.tensors = structure_.tensors;
  std::vector<CalibrationPoint> points;
  for (size_t i = 0; i < list.size(); ++i) {
    ASSAY_ASSIGN(const JsonObject object, JsonObject::open(list[i], top.item(i), kKeys));
    ASSAY_ASSIGN(const std::string file, object.text("recipe", 4096));
    ASSAY_ASSIGN(const double measured, object.real("measured", -1e300, 1e300));
    const std::string beside = (std::filesystem::path(path).parent_path() / file).string();
    ASSAY_ASSIGN(const RecipeFile read, read_recipe_file(beside, {"", &model, Overlap::kRefuse, false}));
    ASSAY_ASSIGN(const Recipe recipe, ggml_recipe(read.document));
    ASSAY_ASSIGN(const RecipeSize size, recipe_size(read.document, structure_.tensors));
    const double proxy = loss_of(recipe);
    if (!std::isfinite(proxy))
      return fail(ErrorCode::kUsage,
                  {beside, "has a type that the proxy was not made for", "name all types of the recipes with --types", ""});
    points.push_back({proxy, measured, size.bpw()});
  }
  ASSAY_ASSIGN(calibration_, calibrate(points));
  return {};
}

Status ProxyObjective::describe(const Recipe& recipe, Json& facts, std::string& text) const {
  struct Part {
    const DamageRow* row;
    double loss;
  };
  std::vector<Part> parts;
  for (const DamageRow& row : table_.rows) {
    const auto type = recipe.types.find(row.tensors[0]);
    for (const DamageCell& cell : row.cells)
      if (type != recipe.types.end() && cell.type == type->second) parts.push_back({&row, cell.damage});
  }
  std::stable_sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.loss > b.loss; });
  constexpr size_t kShown = 25;
  Table table({"group", "type", "role", "depth", "size", "sensitivity", "error", "loss"});
  Json contributions = Json::array();
  for (size_t i = 0; i < std::min(kShown, parts.size()); ++i) {
    const auto group = static_cast<size_t>(structure_.find(parts[i].row->name) - structure_.groups.data());
    const ProxyWeight& weight = loss_.weight(group);
    const char* const type = find_type(recipe.types.at(parts[i].row->tensors[0]))->name;
    const double error = weight.product() > 0 ? parts[i].loss / weight.product() : 0;
    table.add({parts[i].row->name, type, fmt::format("{:.2f}", weight.role), fmt::format("{:.3f}", weight.depth),
               fmt::format("{:.3f}", weight.size), fmt::format("{:.4f}", weight.sensitivity), fmt::format("{:.5f}", error),
               fmt::format("{:.5f}", parts[i].loss)});
    contributions.push_back({{"group", parts[i].row->name},
                             {"type", type},
                             {"role", weight.role},
                             {"depth", weight.depth},
                             {"size", weight.size},
                             {"sensitivity", weight.sensitivity},
                             {"error", error},
                             {"loss", parts[i].loss}});
  }
  const double loss = loss_of(recipe);
  facts["proxy"] = {{"loss", loss}, {"contributions", std::move(contributions)}};
  text += fmt::format("\nRAMP's proxy loss {:.6g}; its {} largest parts:\n", loss, std::min(kShown, parts.size())) + table.text();
  for (const std::string& note : notes_) text += "not read: " + note + "\n";
  if (!calibration_) return {};
  const ProxyCalibration& fit = *calibration_;
  facts["proxy"]["calibration"] = calibration_json(fit);
  facts["proxy"]["predicted"] = fit.predict(loss);
  text += fmt::format("measured = {:.4g} x loss {:+.4g}: R^2 {:.3f}, left out one by one {}, error {:.4g}; predicted here {:.4g}\n",
                      fit.slope, fit.intercept, fit.r_squared,
                      fit.leave_one_out_r_squared ? fmt::format("{:.3f}", *fit.leave_one_out_r_squared) : "unknown", fit.leave_one_out_rmse,
                      fit.predict(loss));
  if (fit.given_size) text += fmt::format("beside what size alone says: R^2 {:.3f}\n", *fit.given_size);
  for (const std::string& warning : fit.warnings) text += "warning: " + warning + "\n";
  return {};
}

}  // namespace assay::cli
