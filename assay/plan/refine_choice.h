// What a plan may still lose to what is not known, and what to measure next. Torch-free, a pure function of its input.
//   regret     tables are drawn from the posterior and each is solved: what the plan costs there beyond that table's own optimum. The mean
//              is the expected value of perfect information, the 95 % quantile is what refinement stops by.
//   next       the knowledge gradient of a cell under the plan's price per byte: a row takes the type of least damage + price * bytes; a
//              measurement moves a mean by s~, and is worth s~ f(-|gap| / s~), f(z) = phi(z) + z Phi(z), gap the distance to the best other
//              type (Frazier, Powell, Dayanik 2009). Divided by its cost. A settled decision is worth nothing, so it costs nothing.
//   how        alone (the unquantized model with one row changed) or beside the plan (the plan with one row changed, less the plan): a
//   round
//              takes the way whose batch is worth more per cost. Alone first, since every type of a row is then known by one scale; beside
//              once what is left is how changes act together (RefineProblem::context_spread), which only the plan's own company shows.
// Non-goals: the posterior (refine_posterior.h), running models.
#pragma once

#include <cstdint>
#include <vector>

#include "assay/base/result.h"
#include "assay/plan/refine_posterior.h"

namespace assay {

using RowChoice = std::vector<size_t>;  // cell of each row

struct RegretBound {
  double mean = 0, high = 0;      // over the draws, nats per token; `high` is the 95 % quantile
  std::vector<RowChoice> optima;  // the draws' own optima without the plan, those of most draws first, each once
};

// Least total damage within the budget; `effort`: KnapsackOptions::max_states.
Result<KnapsackSolution> solve_rows(const RefineProblem& problem, const std::vector<std::vector<double>>& damages, size_t effort);

Result<RegretBound> regret_of(const RefineProblem& problem, const Posterior& posterior, const RowChoice& plan, uint64_t draws,
                              uint64_t seed);

// Expected gain of moving a mean by a normal step of standard deviation `step` where another option is `gap` away.
double knowledge_gradient(double gap, double step);

enum class RefineWay : uint8_t { kAlone, kBeside };

struct RefineTask {
  size_t row = 0, cell = 0;
  double value = 0;  // nats per token
  double cost = 0;   // forward-equivalents
};
struct RefineBatch {
  RefineWay way = RefineWay::kAlone;
  std::vector<RefineTask> tasks;  // most value per cost first
  double value = 0, cost = 0;     // cost: with what every batch of its way takes
};

struct BatchOptions {
  double most_cost = 0;          // forward-equivalents
  double alone_cost = 1;         // of a batch beside its cells: the unedited model
  double beside_cost = 2;        // the unedited model and the plan
  double relative_error = 0.05;  // expected of a measurement
  double least_value = 0;        // what is worth less is settled
  size_t most_tasks = 400;
};

// Empty: nothing is worth its cost, or nothing fits.
RefineBatch next_batch(const RefineProblem& problem, const Posterior& posterior, const RowChoice& plan, double price,
                       const BatchOptions& options);

}  // namespace assay
