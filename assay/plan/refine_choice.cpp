#include "assay/plan/refine_choice.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include "assay/base/sum.h"

namespace assay {
namespace {

constexpr size_t kDrawEffort = 20'000;  // partial solutions: a draw's optimum needs no proof
constexpr double kQuantile = 0.95;

double damage_of(const std::vector<std::vector<double>>& damages, const RowChoice& choice) {
  CompensatedSum sum;
  for (size_t r = 0; r < choice.size(); ++r) sum.add(damages[r][choice[r]]);
  return sum.value();
}

// Distance of a cell's score to the best other of its row; infinite for the only cell.
double gap_of(const RefineRow& row, const std::vector<PosteriorCell>& cells, size_t cell, double price) {
  const auto score = [&](size_t c) { return cells[c].mean + price * static_cast<double>(row.cells[c].bytes); };
  double best = INFINITY;
  for (size_t c = 0; c < cells.size(); ++c)
    if (c != cell) best = std::min(best, score(c));
  return score(cell) - best;
}

// By how much a measurement of this error moves a mean of this deviation.
double step_of(double deviation, double error) {
  const double variance = deviation * deviation;
  return variance > 0 ? variance / std::sqrt(variance + error * error) : 0;
}

class Batches {
 public:
  Batches(const RefineProblem& problem, const Posterior& posterior, const RowChoice& plan, double price, const BatchOptions& options)
      : problem_(problem), posterior_(posterior), plan_(plan), price_(price), options_(options) {}

  RefineBatch make(RefineWay way) const {
    RefineBatch batch;
    batch.way = way;
    std::vector<RefineTask> tasks;
    for (size_t r = 0; r < problem_.rows.size(); ++r)
      for (size_t c = 0; c < problem_.rows[r].cells.size(); ++c) {
        const double step = way == RefineWay::kAlone ? step_alone(r, c) : step_beside(r, c);
        const double value = knowledge_gradient(gap_of(problem_.rows[r], posterior_.cells[r], c, price_), step);
        if (value > options_.least_value) tasks.push_back({r, c, value, problem_.rows[r].cost});
      }
    std::stable_sort(tasks.begin(), tasks.end(),
                     [](const RefineTask& a, const RefineTask& b) { return a.value / a.cost > b.value / b.cost; });
    batch.cost = way == RefineWay::kAlone ? options_.alone_cost : options_.beside_cost;
    for (const RefineTask& task : tasks) {
      if (batch.tasks.size() == options_.most_tasks || batch.cost + task.cost > options_.most_cost) continue;
      batch.cost += task.cost;
      batch.value += task.value;
      batch.tasks.push_back(task);
    }
    return batch;
  }

 private:
  double step_alone(size_t r, size_t c) const {
    const RefineCell& cell = problem_.rows[r].cells[c];
    const PosteriorCell& known = posterior_.cells[r][c];
    if (cell.known || cell.alone || known.reference) return 0;
    return step_of(known.deviation(), std::hypot(options_.relative_error, posterior_.context_spread) * known.mean);
  }
  double step_beside(size_t r, size_t c) const {
    const RefineCell& cell = problem_.rows[r].cells[c];
    const std::vector<PosteriorCell>& row = posterior_.cells[r];
    if (cell.known || cell.beside || is_measured_against(row, plan_[r], c)) return 0;
    return step_of(deviation_of_difference(row, c, plan_[r]), options_.relative_error * std::max(row[c].mean, row[plan_[r]].mean));
  }

  const RefineProblem& problem_;
  const Posterior& posterior_;
  const RowChoice& plan_;
  double price_;
  const BatchOptions& options_;
};

}  // namespace

Result<KnapsackSolution> solve_rows(const RefineProblem& problem, const std::vector<std::vector<double>>& damages, size_t effort) {
  return solve_knapsack(groups_of(problem, damages), problem.budget, {effort});
}

Result<RegretBound> regret_of(const RefineProblem& problem, const Posterior& posterior, const RowChoice& plan, uint64_t draws,
                              uint64_t seed) {
  RegretBound bound;
  std::vector<double> regrets;
  std::map<RowChoice, size_t> seen;
  for (uint64_t k = 0; k < draws; ++k) {
    const auto damages = draw_damages(posterior, seed, k);
    ASSAY_ASSIGN(const KnapsackSolution best, solve_rows(problem, damages, kDrawEffort));
    regrets.push_back(std::max(0.0, damage_of(damages, plan) - best.damage));
    if (best.choice == plan) continue;
    if (++seen[best.choice] == 1) bound.optima.push_back(best.choice);
  }
  std::stable_sort(bound.optima.begin(), bound.optima.end(), [&](const RowChoice& a, const RowChoice& b) { return seen[a] > seen[b]; });
  if (regrets.empty()) return bound;
  CompensatedSum sum;
  for (const double regret : regrets) sum.add(regret);
  bound.mean = sum.value() / static_cast<double>(regrets.size());
  std::sort(regrets.begin(), regrets.end());
  const auto place = static_cast<size_t>(std::ceil(kQuantile * static_cast<double>(regrets.size())));
  bound.high = regrets[std::max<size_t>(place, 1) - 1];
  return bound;
}

double knowledge_gradient(double gap, double step) {
  if (!(step > 0) || !std::isfinite(gap)) return 0;
  const double z = -std::abs(gap) / step;
  const double density = std::exp(-z * z / 2) / std::sqrt(2 * std::numbers::pi);
  const double below = std::erfc(-z / std::numbers::sqrt2) / 2;
  return std::max(0.0, step * (density + z * below));
}

RefineBatch next_batch(const RefineProblem& problem, const Posterior& posterior, const RowChoice& plan, double price,
                       const BatchOptions& options) {
  const Batches batches(problem, posterior, plan, price, options);
  RefineBatch alone = batches.make(RefineWay::kAlone), beside = batches.make(RefineWay::kBeside);
  if (beside.tasks.empty()) return alone;
  if (alone.tasks.empty()) return beside;
  return alone.value / alone.cost >= beside.value / beside.cost ? alone : beside;
}

}  // namespace assay
