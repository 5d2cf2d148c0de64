// One type for all groups, the largest that fits: what somebody without a table does. A group that cannot take it takes its own largest
// below it, or its smallest.
#include <algorithm>
#include <set>

#include "assay/plan/solver.h"

namespace assay {

Result<SolverAnswer> solve_uniform(const SolverProblem& problem) {
  ASSAY_ASSIGN(const std::vector<size_t> smallest, smallest_choice(problem));
  SolverAnswer best = answer_of(problem, smallest);
  std::set<double> sizes;
  for (const auto& group : problem.bits) sizes.insert(group.begin(), group.end());
  for (const double bits : sizes) {
    std::vector<size_t> choice = smallest;
    for (size_t g = 0; g < choice.size(); ++g)
      for (size_t i = 0; i < problem.bits[g].size(); ++i)
        if (problem.bits[g][i] <= bits) choice[g] = std::max(choice[g], i);
    SolverAnswer answer = answer_of(problem, std::move(choice));
    answer.evaluations = best.evaluations + 1;
    if (answer.bytes > problem.budget) break;
    best = std::move(answer);
  }
  return best;
}

}  // namespace assay
