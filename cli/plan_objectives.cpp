#include "cli/plan_objectives.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "assay/base/text.h"
#include "assay/model/fingerprint.h"
#include "assay/plan/allocate_interactions.h"
#include "assay/plan/allocate_objectives.h"
#include "assay/plan/table_objectives.h"
#include "assay/plan/terms_file.h"
#include "cli/table.h"

namespace assay::cli {
namespace {

Result<std::vector<DamageTable>> read_tables(const ObjectiveArguments& arguments, const ModelTensors& model, bool force,
                                             std::vector<std::string>& warnings) {
  std::vector<DamageTable> tables;
  for (const std::string& path : arguments.tables) {
    ASSAY_ASSIGN(const std::string text, read_text_file(path));
    ASSAY_ASSIGN(DamageTable table, damage_table_from_json(text));
    ASSAY_ASSIGN(std::string other_model, check_same_model(table, *model.checkpoint, model.path, force));
    if (!other_model.empty()) warnings.push_back(std::move(other_model));
    if (table.unit != kDamageUnit)
      warnings.push_back("damage table: " + printable(table.estimator) + " is in " + printable(table.unit) +
                         ", not in nats: what is predicted is no KL");
    tables.push_back(std::move(table));
  }
  return aligned_tables(tables, arguments.tables);
}

// Of --domains, one for each table.
Result<std::vector<double>> weights_of(const ObjectiveArguments& arguments) {
  const size_t tables = arguments.tables.size();
  if (arguments.domains == "mean" || arguments.domains == "worst") return std::vector<double>(tables, 1 / static_cast<double>(tables));
  std::vector<double> weights;
  double sum = 0;
  const auto wrong = [&](const std::string& found) {
    return fail(ErrorCode::kUsage, {"--domains " + printable(arguments.domains), found,
                                    fmt::format("mean, worst, or {} weights, one for each --table", tables), ""});
  };
  for (const std::string& part : split(arguments.domains, ',')) {
    double weight = 0;
    const auto read = std::from_chars(part.data(), part.data() + part.size(), weight);
    if (read.ec != std::errc() || read.ptr != part.data() + part.size() || !(weight >= 0) || weight > 1e100)
      return wrong("'" + printable(part) + "' is no weight");
    weights.push_back(weight);
    sum += weight;
  }
  if (weights.size() != tables) return wrong(fmt::format("gives {} weights", weights.size()));
  if (sum <= 0) return wrong("gives no table a weight");
  for (double& weight : weights) weight /= sum;
  return weights;
}

Result<ObjectivePlan> with_interactions(const std::string& path, const Checkpoint& checkpoint, const DamageTable& table, uint64_t budget,
                                        const AllocateConstraints& constraints) {
  ASSAY_ASSIGN(const std::string model, fingerprint(checkpoint));
  ASSAY_ASSIGN(const TermsFile terms, TermsFile::read(path, table, model));
  const TermsOf of = [&](const std::string& row, GgmlType type) { return terms.terms(row, type); };
  ObjectivePlan made;
  ASSAY_ASSIGN(made.plan,
               allocate_with_interactions(checkpoint, table, of, cross_terms(table, of, {.run = terms.run()}), budget, constraints, {}));
  const PlanInteractions& facts = *made.plan.interactions;
  Json by_type = Json::object();
  std::vector<std::string> said;
  for (const auto& [type, value] : facts.reliability.types) {
    by_type[find_type(type)->name] = value;
    said.push_back(fmt::format("{} {:.2f}", find_type(type)->name, value));
  }
  const double own = made.plan.predicted_damage - facts.separable;
  made.facts["interactions"] = {{"file", path},
                                {"terms", facts.terms},
                                {"separable", facts.separable},
                                {"interactions", own},
                                {"separable_optimum", facts.separable_damage},
                                {"evaluations", facts.evaluations},
                                {"moves", facts.moves},
                                {"all_pairs", facts.all_pairs},
                                {"reliability", facts.reliability.all},
                                {"type_reliability", std::move(by_type)},
                                {"pairs", facts.reliability.pairs}};
  made.text = fmt::format(
      "cross terms: reliability {:.2f} over {} pairs (of one type: {}); counted as far as they repeat between halves of the draws\n"
      "interactions: {:+.4g} beside {:.6g} of the matrices alone; the recipe that is best without them has {:.6g} with them\n"
      "local search: {} moves of {} evaluated, {}\n",
      facts.reliability.all, group_digits(facts.reliability.pairs), join(said, ", "), own, facts.separable, facts.separable_damage,
      facts.moves, group_digits(facts.evaluations),
      facts.all_pairs ? "no change of one or two matrices is better" : "the most promising pairs of each change");
  return made;
}

Result<ObjectivePlan> robust_plan(double z, const Checkpoint& checkpoint, const DamageTable& table, uint64_t budget,
                                  const AllocateConstraints& constraints) {
  ASSAY_ASSIGN(RobustPlan robust, allocate_robust(checkpoint, table, z, budget, constraints, {}));
  ObjectivePlan made;
  made.plan = std::move(robust.plan);
  made.facts["robust"] = {{"z", z},
                          {"mean", robust.mean},
                          {"upper", robust.upper},
                          {"plain", {{"mean", robust.plain_mean}, {"upper", robust.plain_upper}}},
                          {"unknown", robust.unknown}};
  Table lines({"plan", "damage", fmt::format("damage + {:g} standard errors", z)});
  lines.add({"robust", fmt::format("{:.6g}", robust.mean), fmt::format("{:.6g}", robust.upper)});
  lines.add({"plain", fmt::format("{:.6g}", robust.plain_mean), fmt::format("{:.6g}", robust.plain_upper)});
  made.text = lines.text();
  if (!robust.unknown.empty()) {
    constexpr size_t kNamed = 5;
    std::vector<std::string> some(robust.unknown.begin(), robust.unknown.begin() + std::min(kNamed, robust.unknown.size()));
    if (robust.unknown.size() > kNamed) some.push_back(fmt::format("and {} more", robust.unknown.size() - kNamed));
    made.plan.warnings.push_back("plan: no standard error is known, and the damage is taken as certain: " + join(some, ", "));
  }
  return made;
}

// What the plan costs by each table.
void add_domains(const ObjectiveArguments& arguments, std::span<const double> weights, std::span<const double> damages,
                 ObjectivePlan& made) {
  Json list = Json::array();
  Table lines({"table", "weight", "damage"});
  for (size_t d = 0; d < damages.size(); ++d) {
    list.push_back({{"table", arguments.tables[d]}, {"weight", weights[d]}, {"damage", damages[d]}});
    lines.add({arguments.tables[d], fmt::format("{:.4g}", weights[d]), fmt::format("{:.6g}", damages[d])});
  }
  made.facts["domains"] = {{"rule", arguments.domains}, {"tables", std::move(list)}};
  made.text += lines.text();
}

}  // namespace

CLI::Option* add_objective_options(CLI::App& app, ObjectiveArguments& arguments) {
  CLI::Option* const table =
      app.add_option("--table", arguments.tables,
                     "damage table: JSON of sweep or score; several of the same model and types, from different texts, "
                     "make one plan (--domains)")
          ->expected(1)
          ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  CLI::Option* const domains =
      app.add_option("--domains", arguments.domains, "of several tables: mean, worst (least damage in the worst), or weights W1,W2,...")
          ->capture_default_str()
          ->needs(table);
  CLI::Option* const robust =
      app.add_option("--robust", arguments.robust, "minimise damage + so many standard errors of every cell")->needs(table);
  app.add_option("--interactions", arguments.interactions,
                 "file of score --terms, made with the table: what matrices do to each other counts, local search beside a bound")
      ->needs(table)
      ->excludes(robust)
      ->excludes(domains);
  return table;
}

Result<PlanObjective> PlanObjective::open(const ObjectiveArguments& arguments, const ProxyArguments& proxy, const ModelTensors& model,
                                          const std::vector<GgmlType>& types, bool force) {
  PlanObjective objective;
  objective.arguments_ = arguments;
  if (!proxy.facts.empty()) {
    ASSAY_ASSIGN(objective.proxy_, ProxyObjective::open(proxy, *model.checkpoint, types));
    objective.tables_ = {objective.proxy_->table()};
    objective.weights_ = {1};
  } else {
    ASSAY_ASSIGN(objective.tables_, read_tables(arguments, model, force, objective.warnings_));
    ASSAY_ASSIGN(objective.weights_, weights_of(arguments));
  }
  objective.table_ = weighted_table(objective.tables_, objective.weights_);
  return objective;
}

Result<ObjectivePlan> PlanObjective::solve(const Checkpoint& checkpoint, uint64_t budget, const AllocateConstraints& constraints) const {
  ASSAY_ASSIGN(ObjectivePlan made, of_tables(checkpoint, budget, constraints));
  if (proxy_) ASSAY_TRY(proxy_->describe(made.plan.recipe, made.facts, made.text));
  return made;
}

Result<ObjectivePlan> PlanObjective::of_tables(const Checkpoint& checkpoint, uint64_t budget,
                                               const AllocateConstraints& constraints) const {
  ObjectivePlan made;
  if (is_worst()) {
    if (arguments_.robust)
      return fail(ErrorCode::kUsage, {"--robust", "is not planned for the worst of several tables", "--domains mean or weights", ""});
    ASSAY_ASSIGN(WorstPlan worst, allocate_worst(checkpoint, tables_, budget, constraints, {}));
    made.plan = std::move(worst.plan);
    add_domains(arguments_, worst.weights, worst.damages, made);
    return made;
  }
  if (!arguments_.interactions.empty()) {
    if (tables_.size() > 1)
      return fail(ErrorCode::kUsage, {"--interactions", "belong to one table", fmt::format("{} are given", tables_.size()), ""});
    return with_interactions(arguments_.interactions, checkpoint, tables_[0], budget, constraints);
  }
  if (arguments_.robust) {
    ASSAY_ASSIGN(made, robust_plan(*arguments_.robust, checkpoint, table_, budget, constraints));
  } else {
    ASSAY_ASSIGN(made.plan, allocate(checkpoint, table_, budget, constraints, {}));
  }
  if (tables_.size() == 1) return made;
  std::vector<double> damages;
  for (const DamageTable& one : tables_) damages.push_back(damage_by(one, made.plan, constraints));
  add_domains(arguments_, weights_, damages, made);
  return made;
}

Result<DamageTable> PlanObjective::curve_table() const {
  if (!arguments_.interactions.empty() || is_worst())
    return fail(ErrorCode::kUsage, {"--frontier", "is made of one table", "no --interactions, no --domains worst", ""});
  if (!arguments_.robust) return table_;
  if (!(*arguments_.robust >= 0)) return fail(ErrorCode::kUsage, {"--robust", "is negative", "0 or more standard errors", ""});
  return upper_table(table_, *arguments_.robust).table;
}

}  // namespace assay::cli
