#include "assay/plan/allocate_objectives.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "assay/base/sum.h"
#include "assay/plan/plan_problem.h"
#include "assay/plan/solve_worst.h"
#include "assay/plan/table_objectives.h"

namespace assay {

double damage_by(const DamageTable& table, const Plan& plan, const AllocateConstraints& constraints) {
  const DamageTable fused = fused_rows(table, constraints.fused);
  CompensatedSum damage;
  for (size_t r = 0; r < plan.rows.size(); ++r)
    for (const DamageCell& cell : fused.rows[r].cells)
      if (cell.type == plan.rows[r].type && (plan.rows[r].damage > 0 || constraints.keep.empty())) damage.add(std::max(0.0, cell.damage));
  return damage.value();
}

Result<RobustPlan> allocate_robust(const Checkpoint& checkpoint, const DamageTable& table, double z, uint64_t budget,
                                   const AllocateConstraints& constraints, const OutputRequest& request) {
  if (!(z >= 0) || !std::isfinite(z))
    return fail(ErrorCode::kUsage, {"--robust", fmt::format("is {}", z), "0 or more standard errors", ""});
  const DamageTable fused = fused_rows(table, constraints.fused);  // so that members' errors add up in squares
  UpperTable upper = upper_table(fused, z);
  RobustPlan robust;
  ASSAY_ASSIGN(robust.plan, allocate(checkpoint, upper.table, budget, constraints, request));
  ASSAY_ASSIGN(const Plan plain, allocate(checkpoint, fused, budget, constraints, request));
  robust.mean = damage_by(fused, robust.plan, constraints);
  robust.upper = robust.plan.predicted_damage;
  robust.plain_mean = plain.predicted_damage;
  robust.plain_upper = damage_by(upper.table, plain, constraints);
  robust.unknown = std::move(upper.unknown);
  return robust;
}

Result<WorstPlan> allocate_worst(const Checkpoint& checkpoint, std::span<const DamageTable> tables, uint64_t budget,
                                 const AllocateConstraints& constraints, const OutputRequest& request) {
  if (constraints.solver != "exact")
    return fail(ErrorCode::kUsage, {"--solver " + constraints.solver, "knows one table", "leave it out", ""});
  ASSAY_ASSIGN(const PlanProblem problem, PlanProblem::make(checkpoint, tables[0], constraints, request));
  if (problem.limited())
    return fail(ErrorCode::kUsage,
                {"--domains worst", "is planned under one limit, the file's size", "no --device-size, no --max-slowdown", ""});
  WorstProblem worst;
  ASSAY_ASSIGN(worst.budget, problem.room(budget));
  for (const KnapsackGroup& group : problem.groups()) {
    worst.bytes.emplace_back();
    for (const KnapsackItem& item : group) worst.bytes.back().push_back(item.bytes);
  }
  for (const DamageTable& table : tables) {
    const DamageTable fused = fused_rows(table, constraints.fused);
    worst.fixed.push_back(0);
    for (const PlanProblem::KeptRow& kept : problem.kept_rows())
      if (kept.cell) worst.fixed.back() += std::max(0.0, fused.rows[kept.row].cells[*kept.cell].damage);
    worst.damages.emplace_back();
    for (size_t g = 0; g < problem.groups().size(); ++g) {
      worst.damages.back().emplace_back();
      for (size_t i = 0; i < problem.groups()[g].size(); ++i)
        worst.damages.back().back().push_back(std::max(0.0, fused.rows[problem.row_of(g)].cells[problem.cell_of(g, i)].damage));
    }
  }
  ASSAY_ASSIGN(WorstSolution solved, solve_worst(worst));
  WorstPlan made;
  ASSAY_ASSIGN(made.plan, problem.plan(solved.choice, budget));
  Plan& plan = made.plan;
  plan.predicted_damage = solved.damage;
  plan.bound = plan.relaxed_bound = solved.bound;
  plan.gap = solved.gap();
  plan.exact = plan.gap <= 0;
  plan.lambda = solved.lambda;
  // By the domains' weights of the bound.
  std::vector<KnapsackGroup> groups = problem.groups();
  for (size_t g = 0; g < groups.size(); ++g)
    for (size_t i = 0; i < groups[g].size(); ++i) {
      groups[g][i].damage = 0;
      for (size_t d = 0; d < tables.size(); ++d) groups[g][i].damage += solved.weights[d] * worst.damages[d][g][i];
    }
  plan.next = problem.upgrades(solved.choice, groups);
  made.damages = std::move(solved.damages);
  made.weights = std::move(solved.weights);
  return made;
}

}  // namespace assay
