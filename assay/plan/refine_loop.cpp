#include "assay/plan/refine_loop.h"

#include <algorithm>
#include <cmath>

namespace assay {
namespace {

constexpr size_t kPlanEffort = 2'000'000;
constexpr size_t kMostRounds = 200;
constexpr double kSettledShare = 1e-4;  // of the regret that is allowed: one cell worth less is settled

struct State {
  Posterior posterior;
  KnapsackSolution plan;
  RegretBound regret;
};

Result<State> look(const RefineProblem& problem, const RefineOptions& options) {
  State state;
  state.posterior = posterior_of(problem);
  ASSAY_ASSIGN(state.plan, solve_rows(problem, means_of(state.posterior), kPlanEffort));
  ASSAY_ASSIGN(state.regret, regret_of(problem, state.posterior, state.plan.choice, options.draws, options.seed));
  return state;
}

// Relative errors seen so far, as a mean shrunk to the option's default.
class ExpectedError {
 public:
  void add(double error, double scale) {
    if (!(scale > 0)) return;
    sum_ += error / scale;
    ++count_;
  }
  double value(double prior) const { return (sum_ + kPrior * prior) / (count_ + kPrior); }

 private:
  double sum_ = 0, count_ = 0;
};

}  // namespace

Result<RefineOutcome> refine(RefineProblem& problem, const RefineOptions& options, const RefineMeasure& measure) {
  RefineOutcome outcome;
  ASSAY_ASSIGN(State state, look(problem, options));
  outcome.start = state.plan.choice;
  outcome.before = state.regret;
  outcome.damage_before = state.plan.damage;
  outcome.plans.push_back(state.plan.choice);
  ExpectedError errors;
  while (outcome.rounds.size() < kMostRounds) {
    const double allowed = options.least_regret * state.plan.damage;
    outcome.settled = state.regret.high <= allowed;
    if (outcome.settled) break;
    BatchOptions batch_options;
    batch_options.relative_error = errors.value(batch_options.relative_error);
    batch_options.least_value = kSettledShare * allowed;
    // A round holds one whole changed model at least, beside what every batch takes.
    batch_options.most_cost = std::min(options.budget - outcome.spent, std::max(options.round_share * options.budget, 4.0));
    const RefineBatch batch = next_batch(problem, state.posterior, state.plan.choice, state.plan.lambda, batch_options);
    if (batch.tasks.empty()) {
      // Settled, unless it is only the money that is short.
      batch_options.most_cost = INFINITY;
      outcome.settled = next_batch(problem, state.posterior, state.plan.choice, state.plan.lambda, batch_options).tasks.empty();
      break;
    }
    const RowChoice plan = state.plan.choice;
    ASSAY_ASSIGN(const std::vector<RefineMeasured> values, measure(batch.way, plan, batch.tasks));
    if (values.size() != batch.tasks.size()) return fail(ErrorCode::kInternal, "refine: a batch came back with another number of values");
    for (size_t i = 0; i < values.size(); ++i) {
      const RefineTask& task = batch.tasks[i];
      RefineCell& cell = problem.rows[task.row].cells[task.cell];
      const std::vector<PosteriorCell>& row = state.posterior.cells[task.row];
      if (batch.way == RefineWay::kAlone) {
        cell.alone = values[i];
        errors.add(values[i].error, values[i].value);
      } else {
        cell.beside = RefineDifference{plan[task.row], values[i]};
        errors.add(values[i].error, std::max(row[task.cell].mean, row[plan[task.row]].mean));
      }
    }
    outcome.spent += batch.cost;
    ASSAY_ASSIGN(state, look(problem, options));
    RefineRound round{batch.way, batch.tasks.size(), batch.cost, state.regret.mean, state.regret.high, 0};
    for (size_t r = 0; r < plan.size(); ++r) round.moved += plan[r] != state.plan.choice[r] ? 1 : 0;
    outcome.rounds.push_back(round);
    if (std::find(outcome.plans.begin(), outcome.plans.end(), state.plan.choice) == outcome.plans.end())
      outcome.plans.push_back(state.plan.choice);
  }
  outcome.plan = state.plan.choice;
  outcome.damage = state.plan.damage;
  outcome.after = std::move(state.regret);
  outcome.posterior = std::move(state.posterior);
  return outcome;
}

}  // namespace assay
