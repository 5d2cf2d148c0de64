// RAMP's greedy path (methods.md 5.5). Where every group's damages fall along a convex curve this is the Lagrangian path, and so within one
// step of the optimum; where they do not, a poor next step hides a good one behind it.
#include <queue>

#include "assay/plan/solver.h"

namespace assay {

uint64_t climb(const SolverProblem& problem, std::vector<size_t>& choice) {
  struct Step {
    double rate;  // damage saved per byte
    size_t group;
    bool operator<(const Step& other) const { return rate != other.rate ? rate < other.rate : group > other.group; }
  };
  uint64_t used = 0, steps = 0;
  for (size_t g = 0; g < choice.size(); ++g) used += problem.groups[g][choice[g]].bytes;
  std::priority_queue<Step> next;
  const auto offer = [&](size_t g) {
    if (choice[g] + 1 == problem.groups[g].size()) return;
    const KnapsackItem &from = problem.groups[g][choice[g]], &to = problem.groups[g][choice[g] + 1];
    const double saved = from.damage - to.damage;
    if (saved > 0) next.push({saved / static_cast<double>(to.bytes - from.bytes), g});
  };
  for (size_t g = 0; g < choice.size(); ++g) offer(g);
  while (!next.empty()) {
    const size_t g = next.top().group;
    next.pop();
    const uint64_t more = problem.groups[g][choice[g] + 1].bytes - problem.groups[g][choice[g]].bytes;
    if (used + more > problem.budget) continue;  // nor will it later: what is used only grows
    used += more;
    ++choice[g];
    ++steps;
    offer(g);
  }
  return steps;
}

Result<SolverAnswer> solve_greedy(const SolverProblem& problem) {
  ASSAY_ASSIGN(std::vector<size_t> choice, smallest_choice(problem));
  const uint64_t steps = climb(problem, choice);
  SolverAnswer answer = answer_of(problem, std::move(choice));
  answer.steps = steps;
  answer.evaluations = 1;
  return answer;
}

}  // namespace assay
