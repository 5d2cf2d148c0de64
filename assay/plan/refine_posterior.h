// What is known of every cell of a damage table after some of them were measured: a mean and an error, from the curvature table, how wrong
// it was where it could be checked, and the measurements themselves. Empirical Bayes with shrinkage, torch-free, a pure function of its
// input. The quantity: what a type costs its row in the model that has the plan's types everywhere else, nats per token.
//   predicted -> alone   log(alone / predicted) = bias + of its role + of its type + of its row + own rest. Bias 1 and a spread of
//                        `kSpread` to begin with, each shrunk by as many prior observations as `kPrior` (of a row: by one); half the
//                        spread's variance is the row's, which all its types share.
//   alone -> beside      beside other changes a change costs another amount: a common factor, 1 to begin with, and a spread around it of
//                        `context_spread` of the damage, both fitted to the differences measured beside the plan.
//   beside               the difference to another type of the same row, on the plan, is what a decision needs: it replaces the cell's
//                        own distance to that type, weighted by precision.
// Non-goals: choosing what to measure (refine_choice.h), interactions between two alternatives at once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "assay/file/gguf.h"
#include "assay/plan/knapsack.h"

namespace assay {

// A mean KL, nats per token, with its standard error.
struct RefineMeasured {
  double value = 0, error = 0;
};
// A cell's damage less that of another cell of its row, both beside the same types of all other rows.
struct RefineDifference {
  size_t reference = 0;
  RefineMeasured measured;
};

struct RefineCell {
  GgmlType type = GgmlType::kF32;
  uint64_t bytes = 0;
  RefineMeasured predicted;
  bool known = false;  // the stored type: nothing to learn
  std::optional<RefineMeasured> alone;
  std::optional<RefineDifference> beside;
};

struct RefineRow {
  std::string name;
  int role = 0;     // rows of one role share a bias
  double cost = 1;  // of measuring one cell, forward-equivalents
  std::vector<RefineCell> cells;
};

struct RefineProblem {
  std::vector<RefineRow> rows;
  uint64_t budget = 0;          // bytes of all rows together
  double context_spread = 0.1;  // prior, as a share of the damage
};

// Of this mean and variance own^2 + shared^2, the shared part alike for all cells of the row, log-normal; with a reference, normal:
// value(reference) + mean - mean(reference) + own z.
struct PosteriorCell {
  double mean = 0, own = 0, shared = 0;
  std::optional<size_t> reference;
  double deviation() const;  // of a cell without a reference
};

struct Posterior {
  std::vector<std::vector<PosteriorCell>> cells;  // [row][cell]
  double bias = 1, spread = 0;                    // of log(alone / predicted), over all cells
  double context = 1, context_spread = 0;         // beside / alone
};

inline constexpr double kSpread = 0.3;
inline constexpr double kPrior = 4;

Posterior posterior_of(const RefineProblem& problem);

// Standard deviation of cell a's value less cell b's.
double deviation_of_difference(const std::vector<PosteriorCell>& row, size_t a, size_t b);

// The cells that `cell` was measured against, directly or through others, itself included.
bool is_measured_against(const std::vector<PosteriorCell>& row, size_t cell, size_t other);

// One table drawn from the posterior; damages are not negative. Draws with equal seeds and numbers are equal.
std::vector<std::vector<double>> draw_damages(const Posterior& posterior, uint64_t seed, uint64_t number);

// The rows as a knapsack with these damages. [row][cell] as the problem has them.
std::vector<KnapsackGroup> groups_of(const RefineProblem& problem, const std::vector<std::vector<double>>& damages);
std::vector<std::vector<double>> means_of(const Posterior& posterior);

}  // namespace assay
