#include "assay/plan/allocate.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "assay/base/sum.h"
#include "assay/base/text.h"
#include "assay/file/tensor_role.h"
#include "assay/plan/knapsack_hull.h"
#include "assay/plan/limited_solver.h"
#include "assay/plan/plan_problem.h"
#include "assay/plan/presets.h"
#include "assay/plan/solver.h"
#include "assay/score/score_lookup.h"

namespace assay {
namespace {

// Several limits at once; those beside the bytes are told in `limits`.
Result<KnapsackSolution> solve_limits(const PlanProblem& problem, const AllocateConstraints& constraints, uint64_t room,
                                      std::vector<PlanLimit>& limits) {
  if (constraints.solver != "exact")
    return fail(ErrorCode::kUsage, {"--solver " + constraints.solver, "knows one limit, the file's size", "leave it out", ""});
  const size_t devices = problem.rules().devices();
  LimitedProblem limited;
  limited.limits.push_back({"file size", static_cast<double>(room)});
  for (size_t d = 0; d < devices; ++d) {
    const auto& device = problem.rules().device(d);
    const uint64_t fixed = problem.device_fixed(d);
    if (device.value < fixed)
      return fail(ErrorCode::kUsage, {"--device-size '" + printable(device.text) + "'", "leaves too little",
                                      format_bytes(fixed) + " of those tensors are never quantized", ""});
    limited.limits.push_back({device.text, static_cast<double>(device.value - fixed)});
  }
  const bool timed = constraints.speeds.most > 0;
  double fastest = 0;
  for (size_t g = 0; g < problem.groups().size(); ++g) {
    double least = problem.uses(g, 0).back();
    limited.groups.emplace_back();
    for (size_t i = 0; i < problem.groups()[g].size(); ++i) {
      const KnapsackItem& item = problem.groups()[g][i];
      const auto uses = problem.uses(g, i);
      least = std::min(least, uses.back());
      LimitedItem made{item.damage, {static_cast<double>(item.bytes)}};
      made.use.insert(made.use.end(), uses.begin(), uses.end() - (timed ? 0 : 1));
      limited.groups.back().push_back(std::move(made));
    }
    fastest += least;
  }
  if (timed) limited.limits.push_back({"time", constraints.speeds.most * fastest});
  ASSAY_ASSIGN(LimitedSolution found, solve_limited(limited));
  KnapsackSolution solution;
  for (size_t g = 0; g < problem.groups().size(); ++g) solution.bytes += problem.groups()[g][found.choice[g]].bytes;
  solution.damage = found.damage;
  solution.bound = solution.relaxed = found.bound;
  solution.lambda = found.prices[0];
  for (size_t k = 1; k < limited.limits.size(); ++k) {
    const bool device = k <= devices;
    const double fixed = device ? static_cast<double>(problem.device_fixed(k - 1)) : 0;
    const double unit = device ? 1 : fastest;  // time: in parts of the fastest recipe's
    limits.push_back(
        {limited.limits[k].name, (found.use[k] + fixed) / unit, (limited.limits[k].most + fixed) / unit, found.prices[k] * unit});
  }
  solution.choice = std::move(found.choice);
  return solution;
}

// What each preset gives the groups, as places in `order`. Those that need an importance matrix are taken as written with one.
std::vector<NamedChoice> preset_choices(const PlanProblem& plan, const std::vector<std::vector<size_t>>& order) {
  std::vector<NamedChoice> choices;
  for (const Preset& preset : all_presets()) {
    const Recipe recipe = plan.recipe_of(preset);
    NamedChoice named{std::string(preset.name), std::vector<size_t>(order.size(), kNoItem)};
    for (size_t g = 0; g < order.size(); ++g)
      for (size_t i = 0; i < order[g].size(); ++i)
        if (plan.gives(recipe, g, order[g][i])) named.choice[g] = i;
    choices.push_back(std::move(named));
  }
  return choices;
}

// Any solver's choice, beside the exact one's bound. `preset`: the name of the one it took, if that is what it does.
Result<KnapsackSolution> solve_groups(const PlanProblem& plan, const std::string& name, uint64_t room, const KnapsackOptions& effort,
                                      std::string& preset) {
  const std::vector<KnapsackGroup>& groups = plan.groups();
  ASSAY_ASSIGN(KnapsackSolution solved, solve_knapsack(groups, room, effort));
  if (name == "exact") return solved;
  ASSAY_ASSIGN(const Solver* const solver, find_solver(name));
  SolverProblem problem;
  problem.budget = room;
  std::vector<std::vector<size_t>> order(groups.size());  // items in ascending bytes
  for (size_t g = 0; g < groups.size(); ++g) {
    order[g].resize(groups[g].size());
    std::iota(order[g].begin(), order[g].end(), size_t{0});
    std::stable_sort(order[g].begin(), order[g].end(), [&](size_t a, size_t b) { return groups[g][a].bytes < groups[g][b].bytes; });
    problem.groups.emplace_back();
    problem.bits.emplace_back();
    for (const size_t i : order[g]) {
      problem.groups[g].push_back(groups[g][i]);
      problem.bits[g].push_back(bits_per_weight(plan.type_of(g, i)));
    }
  }
  problem.presets = preset_choices(plan, order);
  ASSAY_ASSIGN(const SolverAnswer answer, solver->solve(problem));
  preset = answer.preset;
  solved.bytes = answer.bytes;
  solved.damage = answer.damage;
  solved.exact = solved.exact && answer.damage <= solved.bound;
  for (size_t g = 0; g < groups.size(); ++g) solved.choice[g] = order[g][answer.choice[g]];
  return solved;
}

}  // namespace

Result<Plan> allocate(const Checkpoint& checkpoint, const DamageTable& table, uint64_t budget, const AllocateConstraints& constraints,
                      const OutputRequest& request, const KnapsackOptions& effort) {
  ASSAY_ASSIGN(const PlanProblem problem, PlanProblem::make(checkpoint, table, constraints, request));
  ASSAY_ASSIGN(const uint64_t room, problem.room(budget));
  std::vector<PlanLimit> limits;
  std::string preset;
  ASSAY_ASSIGN(const KnapsackSolution solved, problem.limited() ? solve_limits(problem, constraints, room, limits)
                                                                : solve_groups(problem, constraints.solver, room, effort, preset));
  ASSAY_ASSIGN(Plan plan, problem.plan(solved.choice, budget));
  plan.limits = std::move(limits);
  plan.preset = std::move(preset);
  plan.bound = solved.bound + problem.fixed_damage();
  plan.relaxed_bound = solved.relaxed + problem.fixed_damage();
  plan.predicted_damage = solved.damage + problem.fixed_damage();
  plan.gap = plan.predicted_damage > 0 ? (plan.predicted_damage - plan.bound) / plan.predicted_damage : 0;
  plan.lambda = solved.lambda;
  plan.exact = solved.exact;
  plan.next = problem.upgrades(solved.choice, problem.groups());
  return plan;
}

Result<AllocationRows> allocation_rows(const Checkpoint& checkpoint, const DamageTable& table, uint64_t budget,
                                       const AllocateConstraints& constraints, const OutputRequest& request) {
  ASSAY_ASSIGN(const PlanProblem problem, PlanProblem::make(checkpoint, table, constraints, request));
  if (problem.limited()) return fail(ErrorCode::kUsage, {"plan", "has limits beside the file's size", "the file's size alone", ""});
  AllocationRows made;
  made.budget = budget > problem.fixed_bytes() ? budget - problem.fixed_bytes() : 0;
  for (size_t g = 0; g < problem.groups().size(); ++g) {
    AllocationRow row{problem.table().rows[problem.row_of(g)].name, problem.tensors_of(g), {}, problem.groups()[g]};
    for (size_t i = 0; i < row.items.size(); ++i) row.types.push_back(problem.type_of(g, i));
    made.rows.push_back(std::move(row));
  }
  return made;
}

Result<Frontier> plan_frontier(const Checkpoint& checkpoint, const DamageTable& table, const AllocateConstraints& constraints,
                               const OutputRequest& request) {
  ASSAY_ASSIGN(const PlanProblem problem, PlanProblem::make(checkpoint, table, constraints, request));
  std::vector<KnapsackCandidates> candidates;
  uint64_t file_bytes = problem.fixed_bytes();
  CompensatedSum damage;
  damage.add(problem.fixed_damage());
  for (const KnapsackGroup& group : problem.groups()) {
    candidates.push_back(candidates_of(group));
    file_bytes += candidates.back().items[0].bytes;
    damage.add(candidates.back().items[0].damage);
  }
  Frontier frontier{{{file_bytes, problem.bpw(file_bytes), damage.value(), {}}}, problem.warnings()};
  for (const KnapsackStep& step : hull_steps(candidates)) {
    const KnapsackCandidates& group = candidates[step.group];
    FrontierPoint point;
    point.upgrade = problem.upgrade(step.group, group.original[step.from], group.original[step.to]);
    point.file_bytes = file_bytes += point.upgrade.bytes;
    point.bpw = problem.bpw(file_bytes);
    damage.add(-point.upgrade.saved);
    point.damage = std::max(0.0, damage.value());
    frontier.points.push_back(std::move(point));
  }
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
