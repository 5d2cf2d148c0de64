// Solvers of one problem: a type for every group, least total damage, bytes within a budget. The exact one (knapsack.h) and what it is to
// be compared with: what others do, and what simple rules reach. Each in its file; all take the same problem, and every answer is checked
// against the same bound. A pure function of problem and seed. Torch-free. Non-goals: making the problem (allocate.h, proxy_loss.h).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/plan/knapsack.h"

namespace assay {

inline constexpr size_t kNoItem = SIZE_MAX;
struct NamedChoice {
  std::string name;
  std::vector<size_t> choice;  // item of each group
};

struct SolverProblem {
  std::vector<KnapsackGroup> groups;      // items in ascending bytes
  std::vector<std::vector<double>> bits;  // per weight, of the items' types: what uniform means by one type
  std::vector<double> weights;            // RAMP's W_G, for its repair; empty: what the smallest item's damage is
  uint64_t budget = 0;                    // bytes
  uint64_t seed = 42;
  // Whole choices by name that a solver may pick from: the stock presets. A group without an item: kNoItem, for which it is left out.
  std::vector<NamedChoice> presets;
};

struct SolverAnswer {
  std::vector<size_t> choice;  // item of each group
  uint64_t bytes = 0;
  double damage = 0;
  uint64_t evaluations = 0;  // of whole solutions
  uint64_t steps = 0;        // upgrades of one group
  std::string preset;        // whose choice it is, of `presets`
};

struct Solver {
  std::string_view name;
  std::string_view what;
  Result<SolverAnswer> (*solve)(const SolverProblem& problem);
};
std::span<const Solver> all_solvers();
Result<const Solver*> find_solver(std::string_view name);  // kUsage lists the known ones

// What a choice takes and costs. Of a choice with an item for every group.
SolverAnswer answer_of(const SolverProblem& problem, std::vector<size_t> choice);
// The smallest item of each. kUsage: a group without items, or even that does not fit.
Result<std::vector<size_t>> smallest_choice(const SolverProblem& problem);

Result<SolverAnswer> solve_uniform(const SolverProblem& problem);          // solve_uniform.cpp
Result<SolverAnswer> solve_greedy(const SolverProblem& problem);           // solve_greedy.cpp
Result<SolverAnswer> solve_lagrangian(const SolverProblem& problem);       // solve_lagrangian.cpp
Result<SolverAnswer> solve_lagrangian_fill(const SolverProblem& problem);  // the same file
Result<SolverAnswer> solve_presets(const SolverProblem& problem);          // solve_presets.cpp
Result<SolverAnswer> solve_evolution(const SolverProblem& problem);        // solve_evolution.cpp
Result<SolverAnswer> solve_exact(const SolverProblem& problem);            // solver.cpp, by knapsack.h

// From a choice on: the step to a group's next item that saves most damage per byte, as long as one saves any and fits. Ties: the first
// group. Returns the steps taken.
uint64_t climb(const SolverProblem& problem, std::vector<size_t>& choice);

}  // namespace assay
