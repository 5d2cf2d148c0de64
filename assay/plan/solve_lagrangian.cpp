// The best choice that a price per byte leads to: each group takes its item of least damage + price x bytes, and the price is searched by
// bisection. What it leaves unused is not spent: the exact solver and climb() do that.
#include <algorithm>
#include <cmath>

#include "assay/plan/solver.h"

namespace assay {
namespace {

std::vector<size_t> at_price(const SolverProblem& problem, double price) {
  std::vector<size_t> choice;
  for (const KnapsackGroup& group : problem.groups) {
    const auto cost = [&](const KnapsackItem& item) { return item.damage + price * static_cast<double>(item.bytes); };
    const auto least =
        std::min_element(group.begin(), group.end(), [&](const KnapsackItem& a, const KnapsackItem& b) { return cost(a) < cost(b); });
    choice.push_back(static_cast<size_t>(least - group.begin()));
  }
  return choice;
}

}  // namespace

Result<SolverAnswer> solve_lagrangian(const SolverProblem& problem) {
  ASSAY_ASSIGN(std::vector<size_t> smallest, smallest_choice(problem));
  SolverAnswer best = answer_of(problem, at_price(problem, 0));
  uint64_t evaluations = 1;
  if (best.bytes > problem.budget) {
    best = answer_of(problem, std::move(smallest));
    // A price at which no step pays.
    double high = 0;
    for (const KnapsackGroup& group : problem.groups)
      for (size_t i = 1; i < group.size(); ++i)
        if (group[i].bytes > group[0].bytes)
          high = std::max(high, (group[0].damage - group[i].damage) / static_cast<double>(group[i].bytes - group[0].bytes));
    double low = high * 0x1p-100;  // too cheap; bisection of the logarithm, until the two prices are neighbouring numbers
    for (;;) {
      const double price = std::sqrt(low) * std::sqrt(high);
      if (price <= low || price >= high) break;
      SolverAnswer answer = answer_of(problem, at_price(problem, price));
      ++evaluations;
      if (answer.bytes > problem.budget) {
        low = price;
        continue;
      }
      high = price;
      if (answer.damage < best.damage) best = std::move(answer);
      if (best.bytes == problem.budget) break;
    }
  }
  best.evaluations = evaluations;
  return best;
}

Result<SolverAnswer> solve_lagrangian_fill(const SolverProblem& problem) {
  ASSAY_ASSIGN(const SolverAnswer priced, solve_lagrangian(problem));
  std::vector<size_t> choice = priced.choice;
  const uint64_t steps = climb(problem, choice);
  SolverAnswer answer = answer_of(problem, std::move(choice));
  answer.evaluations = priced.evaluations;
  answer.steps = steps;
  return answer;
}

}  // namespace assay
