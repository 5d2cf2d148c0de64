#include "assay/plan/published_plan.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

#include "assay/base/checked.h"
#include "assay/base/sum.h"
#include "assay/base/text.h"
#include "assay/plan/foreign_types.h"
#include "assay/plan/knapsack_hull.h"
#include "assay/plan/solver.h"

namespace assay {
namespace {

struct Problem {
  SolverProblem solver;
  std::vector<size_t> rows;                // of the groups
  std::vector<std::vector<size_t>> cells;  // [groups][items]
};

using Tensors = std::unordered_map<std::string_view, const TensorInfo*>;

// Padded; nullopt: a row of the tensor is no whole number of blocks.
std::optional<uint64_t> bytes_of(const ObjectiveRow& row, const TypeSize& type, const Tensors& tensors, uint64_t alignment) {
  CheckedSize sum = 0;
  for (const std::string& name : row.tensors) {
    const auto bytes = tensor_bytes(type, *tensors.at(name));
    if (!bytes) return std::nullopt;
    sum = sum + CheckedSize(*bytes).round_up(alignment);
  }
  return sum.value();
}

void add_group(const ObjectiveRow& row, size_t place, const Tensors& tensors, uint64_t alignment, Problem& problem) {
  KnapsackGroup all;
  std::vector<size_t> cells;
  for (size_t c = 0; c < row.cells.size(); ++c)
    if (const auto bytes = bytes_of(row, *find_type_size(row.cells[c].type), tensors, alignment)) {
      all.push_back({*bytes, row.cells[c].damage});
      cells.push_back(c);
    }
  if (all.empty()) return;
  KnapsackCandidates useful = candidates_of(all);
  problem.rows.push_back(place);
  problem.cells.emplace_back();
  problem.solver.bits.emplace_back();
  for (const size_t i : useful.original) {
    problem.cells.back().push_back(cells[i]);
    problem.solver.bits.back().push_back(find_type_size(row.cells[cells[i]].type)->bits_per_weight());
  }
  problem.solver.groups.push_back(std::move(useful.items));
}

// Damages times sensitivity^(exponent - 1). A group's sensitivity: its damage at its smallest type.
SolverProblem weighted(SolverProblem problem, double exponent) {
  for (KnapsackGroup& group : problem.groups) {
    const double factor = group[0].damage > 0 ? std::pow(group[0].damage, exponent - 1) : 1;
    for (KnapsackItem& item : group) item.damage *= factor;
  }
  return problem;
}

}  // namespace

Result<PublishedPlan> plan_published(const PublishedObjective& objective, std::span<const TensorInfo> tensors,
                                     const PublishedPlanOptions& options) {
  ASSAY_ASSIGN(const Solver* const solver, find_solver(options.solver));
  Tensors known;
  for (const TensorInfo& tensor : tensors) known[tensor.name] = &tensor;
  Problem problem;
  PublishedPlan plan;
  std::unordered_set<std::string_view> planned;
  for (size_t r = 0; r < objective.rows.size(); ++r) {
    const ObjectiveRow& row = objective.rows[r];
    for (const std::string& name : row.tensors)
      if (!known.contains(name))
        return fail(ErrorCode::kMismatch,
                    {"objective: tensor '" + printable(name) + "'", "is not in the model", "", "files of two models?"});
    const size_t groups = problem.rows.size();
    add_group(row, r, known, options.alignment, problem);
    if (problem.rows.size() > groups)
      planned.insert(row.tensors.begin(), row.tensors.end());
    else
      plan.warnings.push_back("'" + row.name + "' can hold none of the types and keeps its own");
  }
  CheckedSize fixed = 0;
  for (const TensorInfo& tensor : tensors)
    if (!planned.contains(tensor.name)) fixed = fixed + CheckedSize(tensor.bytes).round_up(options.alignment);
  if (!fixed.fits(options.budget))
    return fail(ErrorCode::kUsage, {"plan: tensors that keep their type", "take " + group_digits(fixed.value_or(UINT64_MAX)) + " bytes",
                                    "the budget is " + group_digits(options.budget), ""});
  problem.solver.budget = options.budget - *fixed.value();
  ASSAY_ASSIGN(const KnapsackSolution best, solve_knapsack(problem.solver.groups, problem.solver.budget));
  SolverAnswer answer = answer_of(problem.solver, best.choice);
  if (solver->name != "exact" || options.exponent != 1) {
    ASSAY_ASSIGN(answer, solver->solve(weighted(problem.solver, options.exponent)));
    answer = answer_of(problem.solver, std::move(answer.choice));
  }
  plan.damage = answer.damage;
  plan.bound = best.bound;
  plan.exact = best.exact && answer.damage <= best.damage;
  plan.lambda = best.lambda;
  double shared = 0, squares = 0;
  for (size_t g = 0; g < answer.choice.size(); ++g) {
    const ObjectiveRow& row = objective.rows[problem.rows[g]];
    const ObjectiveCell& cell = row.cells[problem.cells[g][answer.choice[g]]];
    for (const std::string& name : row.tensors) plan.document.types[name] = cell.type;
    ++plan.bases[static_cast<size_t>(cell.basis)];
    if (cell.basis == CellBasis::kExtrapolated)
      shared += cell.standard_error;
    else
      squares += cell.standard_error * cell.standard_error;
  }
  plan.standard_error = std::sqrt(shared * shared + squares);
  ASSAY_ASSIGN(plan.size, recipe_size(plan.document, tensors, options.alignment));
  RecipePrediction& prediction = plan.document.prediction;
  prediction.damage = plan.damage;
  constexpr double kTwoSided = 1.96;
  if (plan.standard_error > 0)
    prediction.interval = {std::max(0.0, plan.damage - kTwoSided * plan.standard_error), plan.damage + kTwoSided * plan.standard_error};
  prediction.tensor_bytes = plan.size.tensor_bytes;
  return plan;
}

Result<std::vector<double>> row_damages(const PublishedObjective& judge, const RecipeDocument& document) {
  std::vector<double> damages;
  for (const ObjectiveRow& row : judge.rows) {
    const auto type = document.types.find(row.tensors[0]);
    const auto cell = std::find_if(row.cells.begin(), row.cells.end(),
                                   [&](const ObjectiveCell& one) { return type != document.types.end() && one.type == type->second; });
    if (cell == row.cells.end())
      return fail(ErrorCode::kMismatch,
                  {"objective: '" + printable(row.name) + "'",
                   type == document.types.end() ? "has no type in the recipe" : "has no number for " + type->second, "", ""});
    damages.push_back(cell->damage);
  }
  return damages;
}

}  // namespace assay
