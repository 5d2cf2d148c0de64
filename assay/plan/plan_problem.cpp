#include "assay/plan/plan_problem.h"

#include <fmt/format.h>

#include <algorithm>

#include "assay/base/checked.h"
#include "assay/base/sum.h"
#include "assay/base/text.h"
#include "assay/plan/knapsack_hull.h"

namespace assay {
namespace {

uint64_t bytes_of(const TensorInfo& tensor, GgmlType type) {
  return tensor_bytes(type, std::span(tensor.dims).first(tensor.n_dims), tensor.name).value_or(0);
}

}  // namespace

Result<PlanProblem> PlanProblem::make(const Checkpoint& checkpoint, const DamageTable& table, const AllocateConstraints& constraints,
                                      const OutputRequest& request) {
  if (!request.prune_layers.empty())
    return fail(ErrorCode::kUsage, "plan: layers cannot be pruned while planning; prune first, then measure and plan");
  PlanProblem problem(checkpoint, constraints, request);
  OutputRequest stored = request;
  stored.recipe = {};
  ASSAY_ASSIGN(problem.stored_, plan_output(checkpoint, stored));
  problem.table_ = fused_rows(table, constraints.fused);
  ASSAY_TRY(problem.prepare());
  return problem;
}

Status PlanProblem::prepare() {
  for (const TensorInfo& tensor : stored_.tensors) tensors_[tensor.name] = &tensor;
  ASSAY_ASSIGN(rules_, ConstraintRules::make(*constraints_));
  device_fixed_.assign(rules_.devices(), 0);
  ASSAY_ASSIGN(kept_, rules_.kept(stored_.tensors));
  fixed_bytes_ = stored_.header_bytes;
  std::set<std::string> chosen;  // tensors whose type is decided
  for (const DamageRow& row : table_.rows) ASSAY_TRY(add_row(row, chosen));
  uint64_t unknown = 0, unknown_bytes = 0;
  for (const TensorInfo& tensor : stored_.tensors) {
    if (chosen.contains(tensor.name)) continue;
    const auto kept = kept_.find(tensor.name);
    const GgmlType type = kept == kept_.end() ? tensor.type : kept->second;
    fixed_bytes_ += padded(tensor, type);
    for (size_t d = 0; d < rules_.devices(); ++d)
      if (rules_.on_device(tensor, d)) device_fixed_[d] += padded(tensor, type);
    if (!is_quantizable(tensor)) continue;
    recipe_.types[tensor.name] = type;
    if (kept == kept_.end()) ++unknown, unknown_bytes += bytes_of(tensor, type);
  }
  if (unknown > 0) {
    warnings_.push_back(
        fmt::format("plan: {} matrices ({}) are not in the table and stay as stored", unknown, format_bytes(unknown_bytes)));
  }
  if (negative_ > 0)
    warnings_.push_back(
        fmt::format("plan: {} damages of the table are negative and count as 0; the first is {}", negative_, first_negative_));
  return rules_.all_used();
}

Status PlanProblem::add_row(const DamageRow& row, std::set<std::string>& chosen) {
  std::vector<const TensorInfo*> members;  // without the kept ones
  PlanRow planned{row.name, GgmlType::kF32, 0, 0};
  for (const std::string& name : row.tensors) {
    const auto found = tensors_.find(name);
    if (found == tensors_.end())
      return fail(ErrorCode::kMismatch,
                  {"table: tensor '" + printable(name) + "'", "is not in the model", "", "a table of another model?"});
    const TensorInfo& tensor = *found->second;
    if (!is_quantizable(tensor))
      return fail(ErrorCode::kMismatch, {"table: tensor '" + printable(name) + "'", "is never quantized", "", ""});
    if (!seen_.insert(name).second) return fail(ErrorCode::kUsage, {"table: tensor '" + printable(name) + "'", "is in two rows", "", ""});
    const auto kept = kept_.find(name);
    if (kept == kept_.end()) {
      members.push_back(&tensor);
      chosen.insert(name);
    } else {
      if (planned.bytes == 0) planned.type = kept->second;
      planned.bytes += bytes_of(tensor, kept->second);
    }
  }
  if (members.empty()) {
    planned.damage = kept_damage(row);
    fixed_damage_ += planned.damage;
  } else {
    ASSAY_TRY(add_group(row, std::move(members)));
  }
  rows_.push_back(std::move(planned));
  return {};
}

Status PlanProblem::add_group(const DamageRow& row, std::vector<const TensorInfo*> members) {
  KnapsackGroup group;
  std::vector<size_t> cells;
  std::vector<std::vector<double>> group_uses;
  for (size_t c = 0; c < row.cells.size(); ++c) {
    const DamageCell& cell = row.cells[c];
    const auto holds = [&](const TensorInfo* tensor) { return rules_.allows(*tensor, cell.type); };
    if (!std::all_of(members.begin(), members.end(), holds)) continue;
    uint64_t total = 0;
    std::vector<double> uses(rules_.devices() + 1);  // bytes by device, time
    for (const TensorInfo* tensor : members) {
      total += padded(*tensor, cell.type);
      for (size_t d = 0; d < rules_.devices(); ++d)
        if (rules_.on_device(*tensor, d)) uses[d] += static_cast<double>(padded(*tensor, cell.type));
      if (constraints_->speeds.most > 0)
        uses.back() += static_cast<double>(tensor->elements()) * constraints_->speeds.per_weight.at(cell.type);
    }
    group_uses.push_back(std::move(uses));
    group.push_back({total, damage_of(row, cell)});
    cells.push_back(c);
  }
  if (group.empty()) {
    std::vector<GgmlType> types;
    for (const DamageCell& cell : row.cells) types.push_back(cell.type);
    return fail(ErrorCode::kUsage, {"plan: '" + printable(row.name) + "'", "has no type left", rules_.why_none(types, members), ""});
  }
  groups_.push_back(std::move(group));
  uses_.push_back(std::move(group_uses));
  cells_.push_back(std::move(cells));
  members_.push_back(std::move(members));
  row_of_group_.push_back(rows_.size());
  return {};
}

// Damage of a row whose every tensor is kept: the table's, 0 where nothing changes, else unknown and left out.
double PlanProblem::kept_damage(const DamageRow& row) {
  const auto kept = [&](const std::string& name) { return kept_.at(name); };
  const GgmlType type = kept(row.tensors.front());
  const bool same = std::all_of(row.tensors.begin(), row.tensors.end(), [&](const std::string& name) { return kept(name) == type; });
  const auto cell = std::find_if(row.cells.begin(), row.cells.end(), [&](const DamageCell& c) { return c.type == type; });
  if (same && cell != row.cells.end()) {
    kept_rows_.push_back({rows_.size(), static_cast<size_t>(cell - row.cells.begin())});
    return damage_of(row, *cell);
  }
  kept_rows_.push_back({rows_.size(), std::nullopt});
  const bool unchanged =
      std::all_of(row.tensors.begin(), row.tensors.end(), [&](const std::string& name) { return kept(name) == tensors_.at(name)->type; });
  if (!unchanged) warnings_.push_back("plan: the table has no damage for '" + printable(row.name) + "' as kept; it is counted as 0");
  return 0;
}

double PlanProblem::damage_of(const DamageRow& row, const DamageCell& cell) {
  if (cell.damage < 0 && negative_++ == 0)
    first_negative_ = fmt::format("{:.4g} of '{}' at {}", cell.damage, printable(row.name), find_type(cell.type)->name);
  return std::max(0.0, cell.damage);
}

std::vector<std::string> PlanProblem::tensors_of(size_t group) const {
  std::vector<std::string> names;
  for (const TensorInfo* tensor : members_[group]) names.push_back(tensor->name);
  return names;
}

bool PlanProblem::gives(const Recipe& recipe, size_t group, size_t item) const {
  return std::all_of(members_[group].begin(), members_[group].end(), [&](const TensorInfo* tensor) {
    const auto found = recipe.types.find(tensor->name);
    return found != recipe.types.end() && found->second == type_of(group, item);
  });
}

Recipe PlanProblem::recipe_of(const Preset& preset) const {
  return preset_recipe(preset, stored_.tensors, preset_context(checkpoint_->metadata(), preset.needs_importance));
}

uint64_t PlanProblem::padded(const TensorInfo& tensor, GgmlType type) const {
  return CheckedSize(bytes_of(tensor, type)).round_up(stored_.alignment).value_or(0);
}

Result<uint64_t> PlanProblem::room(uint64_t budget) const {
  uint64_t smallest = fixed_bytes_;
  for (const KnapsackGroup& group : groups_) {
    const auto less = [](const KnapsackItem& a, const KnapsackItem& b) { return a.bytes < b.bytes; };
    smallest += std::min_element(group.begin(), group.end(), less)->bytes;
  }
  if (smallest <= budget) return budget - fixed_bytes_;
  return fail(ErrorCode::kUsage, {"plan: a file of at most " + group_digits(budget) + " bytes",
                                  fmt::format("cannot be met: the smallest these types allow has {} bytes ({})", group_digits(smallest),
                                              format_bytes(smallest)),
                                  "allow smaller types or a larger size", ""});
}

Result<Plan> PlanProblem::plan(std::span<const size_t> choice, uint64_t budget) const {
  Plan plan;
  plan.recipe = recipe_;
  plan.file_bytes = fixed_bytes_;
  plan.budget_bytes = budget;
  uint64_t largest = fixed_bytes_;
  for (const KnapsackGroup& group : groups_) {
    const auto less = [](const KnapsackItem& a, const KnapsackItem& b) { return a.bytes < b.bytes; };
    largest += std::max_element(group.begin(), group.end(), less)->bytes;
  }
  if (budget > largest)
    plan.warnings.push_back(
        fmt::format("plan: the largest recipe of these types has {} bytes; {} of the budget are left whatever is chosen",
                    group_digits(largest), group_digits(budget - largest)));
  plan.warnings.insert(plan.warnings.end(), warnings_.begin(), warnings_.end());
  plan.rows = rows_;
  CompensatedSum damage;
  for (size_t g = 0; g < groups_.size(); ++g) {
    const KnapsackItem& item = groups_[g][choice[g]];
    PlanRow& row = plan.rows[row_of_group_[g]];
    row.type = type_of(g, choice[g]);
    row.damage = item.damage;
    plan.file_bytes += item.bytes;
    damage.add(item.damage);
    for (const TensorInfo* tensor : members_[g]) {
      plan.recipe.types[tensor->name] = row.type;
      row.bytes += bytes_of(*tensor, row.type);
    }
  }
  plan.predicted_damage = damage.value() + fixed_damage_;
  OutputRequest chosen = request_;
  chosen.recipe = plan.recipe;
  ASSAY_ASSIGN(const OutputFile output, plan_output(*checkpoint_, chosen));
  if (output.file_bytes != plan.file_bytes) return fail(ErrorCode::kInternal, "plan: the file's size differs from the sum of its parts");
  plan.tensor_bytes = output.tensor_bytes;
  plan.bpw = output.bpw();
  return plan;
}

PlanUpgrade PlanProblem::upgrade(size_t group, size_t from, size_t to) const {
  const KnapsackItem &a = groups_[group][from], &b = groups_[group][to];
  return {table_.rows[row_of_group_[group]].name, type_of(group, from), type_of(group, to), b.bytes - a.bytes, a.damage - b.damage};
}

std::vector<PlanUpgrade> PlanProblem::upgrades(std::span<const size_t> choice, std::span<const KnapsackGroup> groups) const {
  constexpr size_t kShown = 5;
  std::vector<PlanUpgrade> all;
  for (size_t g = 0; g < groups.size(); ++g) {
    const KnapsackItem& now = groups[g][choice[g]];
    size_t best = choice[g];
    double rate = 0;
    for (size_t i = 0; i < groups[g].size(); ++i)
      if (groups[g][i].bytes > now.bytes && saving_rate(now, groups[g][i]) > rate) rate = saving_rate(now, groups[g][i]), best = i;
    if (rate <= 0) continue;
    all.push_back(upgrade(g, choice[g], best));
    all.back().saved = now.damage - groups[g][best].damage;
  }
  const auto per_byte = [](const PlanUpgrade& one) { return one.saved / static_cast<double>(one.bytes); };
  std::stable_sort(all.begin(), all.end(), [&](const PlanUpgrade& a, const PlanUpgrade& b) { return per_byte(a) > per_byte(b); });
  all.resize(std::min(all.size(), kShown));
  return all;
}

double PlanProblem::bpw(uint64_t file_bytes) const {
  double weights = 0;
  for (const TensorInfo& tensor : stored_.tensors) weights += static_cast<double>(tensor.elements());
  return 8.0 * static_cast<double>(file_bytes - stored_.header_bytes) / weights;
}

}  // namespace assay
