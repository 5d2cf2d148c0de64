#include "assay/plan/solver.h"

#include <algorithm>

#include "assay/base/sum.h"
#include "assay/base/text.h"

namespace assay {
namespace {

constexpr Solver kSolvers[] = {
    {"exact", "dominance, Lagrangian bound and an expanding core: proven optimum or gap", solve_exact},
    {"lagrangian", "the best choice that one price per byte leads to", solve_lagrangian},
    {"lagrangian-fill", "the same, then single steps for what it left unused: how PR 15550 of llama.cpp plans", solve_lagrangian_fill},
    {"greedy", "RAMP's: single steps from the smallest types, most damage saved per byte first", solve_greedy},
    {"evolution", "RAMP's: 128 recipes, 200 generations, repair and polish", solve_evolution},
    {"presets", "the stock preset of least damage that fits", solve_presets},
    {"uniform", "one type for all, the largest that fits", solve_uniform},
};

}  // namespace

std::span<const Solver> all_solvers() { return kSolvers; }

Result<const Solver*> find_solver(std::string_view name) {
  std::vector<std::string> known;
  for (const Solver& solver : kSolvers) {
    if (solver.name == name) return &solver;
    known.emplace_back(solver.name);
  }
  return fail(ErrorCode::kUsage, {"solver", "there is none named " + printable(name), "one of " + join(known, ", "), ""});
}

SolverAnswer answer_of(const SolverProblem& problem, std::vector<size_t> choice) {
  SolverAnswer answer;
  CompensatedSum damage;
  for (size_t g = 0; g < choice.size(); ++g) {
    answer.bytes += problem.groups[g][choice[g]].bytes;
    damage.add(problem.groups[g][choice[g]].damage);
  }
  answer.damage = damage.value();
  answer.choice = std::move(choice);
  return answer;
}

Result<std::vector<size_t>> smallest_choice(const SolverProblem& problem) {
  uint64_t bytes = 0;
  for (size_t g = 0; g < problem.groups.size(); ++g) {
    if (problem.groups[g].empty()) return fail(ErrorCode::kUsage, "plan: group " + std::to_string(g) + " has no type it could take");
    bytes += problem.groups[g][0].bytes;
  }
  if (bytes > problem.budget)
    return fail(ErrorCode::kUsage, {"plan: the smallest choice of types", "takes " + group_digits(bytes) + " bytes",
                                    "the budget leaves " + group_digits(problem.budget), "allow smaller types or a larger size"});
  return std::vector<size_t>(problem.groups.size(), 0);
}

Result<SolverAnswer> solve_exact(const SolverProblem& problem) {
  ASSAY_ASSIGN(KnapsackSolution solution, solve_knapsack(problem.groups, problem.budget));
  return answer_of(problem, std::move(solution.choice));
}

}  // namespace assay
