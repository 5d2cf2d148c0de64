#include "assay/plan/allocate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <regex>
#include <set>
#include <unordered_map>

#include "assay/base/checked.h"
#include "assay/base/sum.h"
#include "assay/base/text.h"
#include "assay/file/tensor_role.h"
#include "assay/plan/knapsack_hull.h"
#include "assay/plan/limited_solver.h"
#include "assay/plan/solver.h"
#include "assay/quant/codec.h"
#include "assay/score/score_lookup.h"

namespace assay {
namespace {

template <class Value>
struct NameRule {
  std::string text;
  std::regex pattern;
  Value value;
  bool used = false;
};
using KeepRule = NameRule<GgmlType>;

template <class Value>
Result<std::vector<NameRule<Value>>> name_rules(const std::string& option, const std::vector<std::pair<std::string, Value>>& pairs) {
  std::vector<NameRule<Value>> rules;
  for (const auto& [text, value] : pairs) {
    try {
      rules.push_back({text, std::regex(text), value});
    } catch (const std::regex_error& error) {
      return fail(ErrorCode::kUsage, {option + " '" + printable(text) + "'", "is not a regular expression", error.what(), ""});
    }
  }
  return rules;
}

template <class Value>
Status all_used(const std::string& option, const std::vector<NameRule<Value>>& rules) {
  for (const auto& rule : rules)
    if (!rule.used)
      return fail(ErrorCode::kMismatch, {option + " '" + printable(rule.text) + "'", "matches no matrix of the model", "", ""});
  return {};
}

// The knapsack of one table: a group of items per row that has a choice, everything else as fixed bytes and fixed damage.
class Allocation {
 public:
  Allocation(const DamageTable& table, const AllocateConstraints& constraints, const OutputFile& stored)
      : table_(table), constraints_(constraints), stored_(stored) {
    for (const TensorInfo& tensor : stored.tensors) tensors_[tensor.name] = &tensor;
  }

  Status prepare() {
    ASSAY_ASSIGN(type_rules_, name_rules("--types-of", constraints_.types_of));
    ASSAY_ASSIGN(least_rules_, name_rules("--at-least", constraints_.at_least));
    ASSAY_ASSIGN(devices_, name_rules("--device-size", constraints_.device_bytes));
    device_fixed_.assign(devices_.size(), 0);
    ASSAY_TRY(apply_keep());
    fixed_bytes_ = stored_.header_bytes;
    std::set<std::string> chosen;  // tensors whose type the knapsack decides
    for (const DamageRow& row : table_.rows) ASSAY_TRY(add_row(row, chosen));
    uint64_t unknown = 0, unknown_bytes = 0;
    for (const TensorInfo& tensor : stored_.tensors) {
      if (chosen.contains(tensor.name)) continue;
      const auto kept = kept_.find(tensor.name);
      const GgmlType type = kept == kept_.end() ? tensor.type : kept->second;
      fixed_bytes_ += padded(tensor, type);
      for (size_t d = 0; d < devices_.size(); ++d)
        if (on_device(tensor, d)) device_fixed_[d] += padded(tensor, type);
      if (!is_quantizable(tensor)) continue;
      recipe_.types[tensor.name] = type;
      if (kept == kept_.end()) ++unknown, unknown_bytes += bytes(tensor, type);
    }
    if (unknown > 0) {
      warnings_.push_back(
          fmt::format("plan: {} matrices ({}) are not in the table and stay as stored", unknown, format_bytes(unknown_bytes)));
    }
    ASSAY_TRY(all_used("--types-of", type_rules_));
    ASSAY_TRY(all_used("--at-least", least_rules_));
    return all_used("--device-size", devices_);
  }

  Result<Plan> solve(uint64_t budget, const KnapsackOptions& effort) {
    uint64_t smallest = fixed_bytes_;
    for (const KnapsackGroup& group : groups_) {
      const auto less = [](const KnapsackItem& a, const KnapsackItem& b) { return a.bytes < b.bytes; };
      smallest += std::min_element(group.begin(), group.end(), less)->bytes;
    }
    if (smallest > budget) {
      return fail(ErrorCode::kUsage, {"plan: a file of at most " + group_digits(budget) + " bytes",
                                      fmt::format("cannot be met: the smallest these types allow has {} bytes ({})", group_digits(smallest),
                                                  format_bytes(smallest)),
                                      "allow smaller types or a larger size", ""});
    }
    Plan plan;
    const bool limited = !devices_.empty() || constraints_.speeds.most > 0;
    ASSAY_ASSIGN(const KnapsackSolution solved,
                 limited ? solve_limits(budget - fixed_bytes_, plan.limits) : solve_groups(budget - fixed_bytes_, effort));
    plan.recipe = recipe_;
    plan.file_bytes = fixed_bytes_ + solved.bytes;
    plan.budget_bytes = budget;
    plan.predicted_damage = solved.damage + fixed_damage_;
    plan.bound = solved.bound + fixed_damage_;
    plan.relaxed_bound = solved.relaxed + fixed_damage_;
    plan.gap = plan.predicted_damage > 0 ? (plan.predicted_damage - plan.bound) / plan.predicted_damage : 0;
    plan.lambda = solved.lambda;
    plan.exact = solved.exact;
    plan.warnings = warnings_;
    plan.rows = rows_;
    for (size_t g = 0; g < groups_.size(); ++g) {
      PlanRow& row = plan.rows[row_of_group_[g]];
      row.type = type_of(g, solved.choice[g]);
      row.damage = groups_[g][solved.choice[g]].damage;
      for (const TensorInfo* tensor : members_[g]) {
        plan.recipe.types[tensor->name] = row.type;
        row.bytes += bytes(*tensor, row.type);
      }
    }
    plan.next = upgrades_from(solved.choice);
    return plan;
  }

  Result<AllocationRows> rows(uint64_t budget) const {
    if (!devices_.empty() || constraints_.speeds.most > 0)
      return fail(ErrorCode::kUsage, {"plan", "has limits beside the file's size", "the file's size alone", ""});
    AllocationRows made;
    made.budget = budget > fixed_bytes_ ? budget - fixed_bytes_ : 0;
    for (size_t g = 0; g < groups_.size(); ++g) {
      AllocationRow row{table_.rows[row_of_group_[g]].name, {}, {}, groups_[g]};
      for (const TensorInfo* tensor : members_[g]) row.tensors.push_back(tensor->name);
      for (size_t i = 0; i < groups_[g].size(); ++i) row.types.push_back(type_of(g, i));
      made.rows.push_back(std::move(row));
    }
    return made;
  }

  Frontier frontier() const {
    std::vector<KnapsackCandidates> candidates;
    uint64_t file_bytes = fixed_bytes_;
    CompensatedSum damage;
    damage.add(fixed_damage_);
    for (const KnapsackGroup& group : groups_) {
      candidates.push_back(candidates_of(group));
      file_bytes += candidates.back().items[0].bytes;
      damage.add(candidates.back().items[0].damage);
    }
    Frontier frontier{{{file_bytes, 0, damage.value(), {}}}, warnings_};
    for (const KnapsackStep& step : hull_steps(candidates)) {
      const KnapsackCandidates& group = candidates[step.group];
      FrontierPoint point;
      point.upgrade = upgrade(step.group, group.original[step.from], group.original[step.to]);
      point.file_bytes = file_bytes += point.upgrade.bytes;
      damage.add(-point.upgrade.saved);
      point.damage = std::max(0.0, damage.value());
      frontier.points.push_back(std::move(point));
    }
    return frontier;
  }

 private:
  GgmlType type_of(size_t group, size_t item) const { return table_.rows[row_of_group_[group]].cells[cells_[group][item]].type; }

  PlanUpgrade upgrade(size_t group, size_t from, size_t to) const {
    const KnapsackItem &a = groups_[group][from], &b = groups_[group][to];
    return {table_.rows[row_of_group_[group]].name, type_of(group, from), type_of(group, to), b.bytes - a.bytes, a.damage - b.damage};
  }

  std::vector<PlanUpgrade> upgrades_from(const std::vector<size_t>& choice) const {
    constexpr size_t kShown = 5;
    std::vector<PlanUpgrade> all;
    for (size_t g = 0; g < groups_.size(); ++g) {
      const KnapsackItem& now = groups_[g][choice[g]];
      size_t best = choice[g];
      double rate = 0;
      for (size_t i = 0; i < groups_[g].size(); ++i)
        if (groups_[g][i].bytes > now.bytes && saving_rate(now, groups_[g][i]) > rate) rate = saving_rate(now, groups_[g][i]), best = i;
      if (rate > 0) all.push_back(upgrade(g, choice[g], best));
    }
    const auto per_byte = [](const PlanUpgrade& one) { return one.saved / static_cast<double>(one.bytes); };
    std::stable_sort(all.begin(), all.end(), [&](const PlanUpgrade& a, const PlanUpgrade& b) { return per_byte(a) > per_byte(b); });
    all.resize(std::min(all.size(), kShown));
    return all;
  }

  // Several limits at once; those beside the bytes are told in `limits`.
  Result<KnapsackSolution> solve_limits(uint64_t budget, std::vector<PlanLimit>& limits) const {
    if (constraints_.solver != "exact")
      return fail(ErrorCode::kUsage, {"--solver " + constraints_.solver, "knows one limit, the file's size", "leave it out", ""});
    LimitedProblem problem;
    problem.limits.push_back({"file size", static_cast<double>(budget)});
    for (size_t d = 0; d < devices_.size(); ++d) {
      if (devices_[d].value < device_fixed_[d])
        return fail(ErrorCode::kUsage, {"--device-size '" + printable(devices_[d].text) + "'", "leaves too little",
                                        format_bytes(device_fixed_[d]) + " of those tensors are never quantized", ""});
      problem.limits.push_back({devices_[d].text, static_cast<double>(devices_[d].value - device_fixed_[d])});
    }
    double fastest = 0;
    for (const auto& items : uses_) {
      const auto less = [](const auto& a, const auto& b) { return a.back() < b.back(); };
      fastest += std::min_element(items.begin(), items.end(), less)->back();
    }
    const bool timed = constraints_.speeds.most > 0;
    if (timed) problem.limits.push_back({"time", constraints_.speeds.most * fastest});
    for (size_t g = 0; g < groups_.size(); ++g) {
      problem.groups.emplace_back();
      for (size_t i = 0; i < groups_[g].size(); ++i) {
        LimitedItem item{groups_[g][i].damage, {static_cast<double>(groups_[g][i].bytes)}};
        item.use.insert(item.use.end(), uses_[g][i].begin(), uses_[g][i].end() - (timed ? 0 : 1));
        problem.groups.back().push_back(std::move(item));
      }
    }
    ASSAY_ASSIGN(LimitedSolution found, solve_limited(problem));
    KnapsackSolution solution;
    for (size_t g = 0; g < groups_.size(); ++g) solution.bytes += groups_[g][found.choice[g]].bytes;
    solution.damage = found.damage;
    solution.bound = solution.relaxed = found.bound;
    solution.lambda = found.prices[0];
    for (size_t k = 1; k < problem.limits.size(); ++k) {
      const bool device = k <= devices_.size();
      const double fixed = device ? static_cast<double>(device_fixed_[k - 1]) : 0;
      const double unit = device ? 1 : fastest;  // time: in parts of the fastest recipe's
      limits.push_back(
          {problem.limits[k].name, (found.use[k] + fixed) / unit, (problem.limits[k].most + fixed) / unit, found.prices[k] * unit});
    }
    solution.choice = std::move(found.choice);
    return solution;
  }

  // Any solver's choice, beside the exact one's bound.
  Result<KnapsackSolution> solve_groups(uint64_t budget, const KnapsackOptions& effort) const {
    ASSAY_ASSIGN(KnapsackSolution solved, solve_knapsack(groups_, budget, effort));
    if (constraints_.solver == "exact") return solved;
    ASSAY_ASSIGN(const Solver* const solver, find_solver(constraints_.solver));
    SolverProblem problem;
    problem.budget = budget;
    std::vector<std::vector<size_t>> order(groups_.size());  // items in ascending bytes
    for (size_t g = 0; g < groups_.size(); ++g) {
      order[g].resize(groups_[g].size());
      std::iota(order[g].begin(), order[g].end(), size_t{0});
      std::stable_sort(order[g].begin(), order[g].end(), [&](size_t a, size_t b) { return groups_[g][a].bytes < groups_[g][b].bytes; });
      problem.groups.emplace_back();
      problem.bits.emplace_back();
      for (const size_t i : order[g]) {
        problem.groups[g].push_back(groups_[g][i]);
        problem.bits[g].push_back(bits_per_weight(type_of(g, i)));
      }
    }
    ASSAY_ASSIGN(const SolverAnswer answer, solver->solve(problem));
    solved.bytes = answer.bytes;
    solved.damage = answer.damage;
    solved.exact = solved.exact && answer.damage <= solved.bound;
    for (size_t g = 0; g < groups_.size(); ++g) solved.choice[g] = order[g][answer.choice[g]];
    return solved;
  }

  static uint64_t bytes(const TensorInfo& tensor, GgmlType type) {
    return tensor_bytes(type, std::span(tensor.dims).first(tensor.n_dims), tensor.name).value_or(0);
  }
  uint64_t padded(const TensorInfo& tensor, GgmlType type) const {
    return CheckedSize(bytes(tensor, type)).round_up(stored_.alignment).value_or(0);
  }

  bool can_hold(const TensorInfo& tensor, GgmlType type) const {
    return row_fits(type, tensor.row_length()) && (type == tensor.type || can_encode(type));
  }
  bool allowed(GgmlType type) const {
    const auto& types = constraints_.types;
    if (!types.empty() && std::find(types.begin(), types.end(), type) == types.end()) return false;
    if (constraints_.speeds.most > 0 && !constraints_.speeds.per_weight.contains(type)) return false;
    return !constraints_.min_type || bits_per_weight(type) >= bits_per_weight(*constraints_.min_type);
  }
  // By the rules of names.
  bool allowed(const TensorInfo& tensor, GgmlType type) {
    bool holds = true;
    for (auto& rule : type_rules_)
      if (std::regex_search(tensor.name, rule.pattern)) {
        rule.used = true;
        holds = holds && std::find(rule.value.begin(), rule.value.end(), type) != rule.value.end();
      }
    for (auto& rule : least_rules_)
      if (std::regex_search(tensor.name, rule.pattern)) {
        rule.used = true;
        holds = holds && bits_per_weight(type) >= bits_per_weight(rule.value);
      }
    return holds;
  }
  bool on_device(const TensorInfo& tensor, size_t device) {
    const bool there = std::regex_search(tensor.name, devices_[device].pattern);
    devices_[device].used = devices_[device].used || there;
    return there;
  }

  Status apply_keep() {
    ASSAY_ASSIGN(std::vector<KeepRule> rules, name_rules("--keep", constraints_.keep));
    for (const TensorInfo& tensor : stored_.tensors) {
      if (!is_quantizable(tensor)) continue;
      for (KeepRule& rule : rules) {
        if (!std::regex_search(tensor.name, rule.pattern)) continue;
        rule.used = true;
        if (kept_.contains(tensor.name)) continue;
        if (!can_hold(tensor, rule.value)) {
          return fail(ErrorCode::kUsage, {"--keep '" + printable(rule.text) + "=" + find_type(rule.value)->name + "'",
                                          fmt::format("cannot be met by '{}' with rows of {}", printable(tensor.name), tensor.row_length()),
                                          "a type its rows can hold and that can be written is needed", ""});
        }
        kept_[tensor.name] = rule.value;
      }
    }
    return all_used("--keep", rules);
  }

  Status add_row(const DamageRow& row, std::set<std::string>& chosen) {
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
        planned.bytes += bytes(tensor, kept->second);
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

  Status add_group(const DamageRow& row, std::vector<const TensorInfo*> members) {
    KnapsackGroup group;
    std::vector<size_t> cells;
    std::vector<std::vector<double>> group_uses;
    for (size_t c = 0; c < row.cells.size(); ++c) {
      const DamageCell& cell = row.cells[c];
      const auto holds = [&](const TensorInfo* tensor) { return can_hold(*tensor, cell.type) && allowed(*tensor, cell.type); };
      if (!allowed(cell.type) || !std::all_of(members.begin(), members.end(), holds)) continue;
      uint64_t total = 0;
      std::vector<double> uses(devices_.size() + 1);  // bytes by device, time
      for (const TensorInfo* tensor : members) {
        total += padded(*tensor, cell.type);
        for (size_t d = 0; d < devices_.size(); ++d)
          if (on_device(*tensor, d)) uses[d] += static_cast<double>(padded(*tensor, cell.type));
        if (constraints_.speeds.most > 0)
          uses.back() += static_cast<double>(tensor->elements()) * constraints_.speeds.per_weight.at(cell.type);
      }
      group_uses.push_back(std::move(uses));
      group.push_back({total, std::max(0.0, cell.damage)});
      cells.push_back(c);
    }
    if (group.empty()) {
      return fail(ErrorCode::kUsage, {"plan: '" + printable(row.name) + "'", "has no type left",
                                      fmt::format("its row of the table has {} types", row.cells.size()),
                                      "loosen the allowed types, --min-type or --keep; rows may be too short"});
    }
    groups_.push_back(std::move(group));
    uses_.push_back(std::move(group_uses));
    cells_.push_back(std::move(cells));
    members_.push_back(std::move(members));
    row_of_group_.push_back(rows_.size());
    return {};
  }

  // Damage of a row whose every tensor is kept: the table's, 0 where nothing changes, else unknown and left out.
  double kept_damage(const DamageRow& row) {
    const auto kept = [&](const std::string& name) { return kept_.at(name); };
    const GgmlType type = kept(row.tensors.front());
    const bool same = std::all_of(row.tensors.begin(), row.tensors.end(), [&](const std::string& name) { return kept(name) == type; });
    const auto cell = std::find_if(row.cells.begin(), row.cells.end(), [&](const DamageCell& c) { return c.type == type; });
    if (same && cell != row.cells.end()) return std::max(0.0, cell->damage);
    const bool unchanged =
        std::all_of(row.tensors.begin(), row.tensors.end(), [&](const std::string& name) { return kept(name) == tensors_.at(name)->type; });
    if (!unchanged) warnings_.push_back("plan: the table has no damage for '" + printable(row.name) + "' as kept; it is counted as 0");
    return 0;
  }

  const DamageTable& table_;
  const AllocateConstraints& constraints_;
  const OutputFile& stored_;  // the file with every tensor as stored
  std::unordered_map<std::string, const TensorInfo*> tensors_;
  std::unordered_map<std::string, GgmlType> kept_;
  std::set<std::string> seen_;
  std::vector<NameRule<std::vector<GgmlType>>> type_rules_;
  std::vector<NameRule<GgmlType>> least_rules_;
  std::vector<NameRule<uint64_t>> devices_;
  std::vector<uint64_t> device_fixed_;  // bytes on each that nothing changes
  Recipe recipe_;                       // of what the knapsack does not decide
  uint64_t fixed_bytes_ = 0;
  double fixed_damage_ = 0;
  std::vector<PlanRow> rows_;
  std::vector<std::string> warnings_;
  // Per group: items, the row's cell of each, the tensors, the row.
  std::vector<KnapsackGroup> groups_;
  std::vector<std::vector<size_t>> cells_;
  std::vector<std::vector<std::vector<double>>> uses_;  // of each item: bytes by device, time
  std::vector<std::vector<const TensorInfo*>> members_;
  std::vector<size_t> row_of_group_;
};

}  // namespace

namespace {

Result<OutputFile> as_stored(const Checkpoint& checkpoint, OutputRequest request) {
  if (!request.prune_layers.empty())
    return fail(ErrorCode::kUsage, "plan: layers cannot be pruned while planning; prune first, then measure and plan");
  request.recipe = {};
  return plan_output(checkpoint, request);
}

}  // namespace

Result<Plan> allocate(const Checkpoint& checkpoint, const DamageTable& table, uint64_t budget, const AllocateConstraints& constraints,
                      const OutputRequest& request, const KnapsackOptions& effort) {
  ASSAY_ASSIGN(const OutputFile stored, as_stored(checkpoint, request));
  const DamageTable fused = fused_rows(table, constraints.fused);
  Allocation allocation(fused, constraints, stored);
  ASSAY_TRY(allocation.prepare());
  ASSAY_ASSIGN(Plan plan, allocation.solve(budget, effort));
  OutputRequest chosen = request;
  chosen.recipe = plan.recipe;
  ASSAY_ASSIGN(const OutputFile output, plan_output(checkpoint, chosen));
  if (output.file_bytes != plan.file_bytes) return fail(ErrorCode::kInternal, "plan: the file's size differs from the sum of its parts");
  plan.tensor_bytes = output.tensor_bytes;
  plan.bpw = output.bpw();
  return plan;
}

Result<AllocationRows> allocation_rows(const Checkpoint& checkpoint, const DamageTable& table, uint64_t budget,
                                       const AllocateConstraints& constraints, const OutputRequest& request) {
  ASSAY_ASSIGN(const OutputFile stored, as_stored(checkpoint, request));
  const DamageTable fused = fused_rows(table, constraints.fused);
  Allocation allocation(fused, constraints, stored);
  ASSAY_TRY(allocation.prepare());
  return allocation.rows(budget);
}

Result<Frontier> plan_frontier(const Checkpoint& checkpoint, const DamageTable& table, const AllocateConstraints& constraints,
                               const OutputRequest& request) {
  ASSAY_ASSIGN(const OutputFile stored, as_stored(checkpoint, request));
  const DamageTable fused = fused_rows(table, constraints.fused);
  Allocation allocation(fused, constraints, stored);
  ASSAY_TRY(allocation.prepare());
  Frontier frontier = allocation.frontier();
  // Every step of file_bytes is one of tensors, padding with it.
  double weights = 0;
  for (const TensorInfo& tensor : stored.tensors) weights += static_cast<double>(tensor.elements());
  const uint64_t other = stored.header_bytes;
  for (FrontierPoint& point : frontier.points) point.bpw = 8.0 * static_cast<double>(point.file_bytes - other) / weights;
  return frontier;
}

DamageTable fused_rows(const DamageTable& table, std::span<const std::vector<std::string>> fused) {
  DamageTable made = table;
  made.rows.clear();
  std::map<std::pair<size_t, int>, size_t> places;  // of the rows that share a type, by set and block
  for (const DamageRow& row : table.rows) {
    size_t set = fused.size();
    const TensorRole role = row.tensors.size() == 1 ? role_of(row.tensors[0]) : TensorRole{};
    for (size_t s = 0; s < fused.size() && row.tensors.size() == 1; ++s)
      if (role.layer >= 0 && std::find(fused[s].begin(), fused[s].end(), name_of(role.role)) != fused[s].end()) set = s;
    if (set == fused.size()) {
      made.rows.push_back(row);
      continue;
    }
    const auto [place, is_new] = places.emplace(std::pair(set, role.layer), made.rows.size());
    if (is_new) {
      made.rows.push_back(row);
      continue;
    }
    DamageRow& together = made.rows[place->second];
    together.name += "+" + row.name;
    together.tensors.push_back(row.tensors[0]);
    std::vector<DamageCell> cells;
    for (const DamageCell& a : together.cells)
      for (const DamageCell& b : row.cells)
        if (a.type == b.type)
          cells.push_back({a.type, a.damage + b.damage, std::hypot(a.standard_error, b.standard_error), a.below_floor && b.below_floor});
    together.cells = std::move(cells);
  }
  return made;
}

}  // namespace assay
