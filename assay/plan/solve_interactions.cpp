#include "assay/plan/solve_interactions.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "assay/plan/interaction_search.h"
#include "assay/plan/knapsack.h"
#include "assay/plan/vertex_bundle.h"

namespace assay {
namespace {

constexpr int kRelinearised = 4;  // times in a row, from the separable optimum

class InteractionSolver {
 public:
  InteractionSolver(const InteractionObjective& objective, const std::vector<std::vector<uint64_t>>& bytes, uint64_t budget,
                    const InteractionOptions& options)
      : objective_(objective), bytes_(bytes), budget_(budget), options_(options) {}

  Result<InteractionSolution> solve() {
    std::vector<std::vector<double>> alone(objective_.groups());
    for (size_t g = 0; g < alone.size(); ++g)
      for (size_t i = 0; i < objective_.items(g); ++i) alone[g].push_back(objective_.alone(g, i));
    ASSAY_ASSIGN(const KnapsackSolution separable, knapsack(alone, options_.max_states));
    solution_.separable_damage = meet(separable.choice);
    ASSAY_TRY(relinearise(separable.choice));
    ASSAY_TRY(climb_bound(separable.choice));
    search(separable.choice);
    ASSAY_ASSIGN(const KnapsackSolution prices, knapsack(linearised(solution_.choice), 0));
    solution_.lambda = prices.lambda;
    solution_.separable = objective_.separable(solution_.choice);
    for (size_t g = 0; g < bytes_.size(); ++g) solution_.bytes += bytes_[g][solution_.choice[g]];
    solution_.bound = std::min(bound_, solution_.damage);  // rounding
    return std::move(solution_);
  }

 private:
  struct Met {
    double damage = 0;
    std::vector<size_t> choice;
  };

  Result<KnapsackSolution> knapsack(const std::vector<std::vector<double>>& costs, size_t max_states) const {
    std::vector<KnapsackGroup> groups(costs.size());
    for (size_t g = 0; g < costs.size(); ++g)
      for (size_t i = 0; i < costs[g].size(); ++i) groups[g].push_back({bytes_[g][i], costs[g][i]});
    KnapsackOptions options;
    options.max_states = max_states;
    return solve_knapsack(groups, budget_, options);
  }

  // Keeps a choice if it is among the best met. Returns its damage.
  double meet(const std::vector<size_t>& choice) {
    const double damage = objective_.damage(choice);
    const auto at = std::upper_bound(met_.begin(), met_.end(), damage, [](double value, const Met& one) { return value < one.damage; });
    if (at != met_.begin() && (at - 1)->choice == choice) return damage;
    met_.insert(at, {damage, choice});
    if (met_.size() > static_cast<size_t>(std::max(1, options_.starts))) met_.pop_back();
    return damage;
  }

  // Damage of every item beside what the choice has for all other groups: exact for a change of one group.
  std::vector<std::vector<double>> linearised(const std::vector<size_t>& choice) const {
    const InteractionChoice state(objective_, choice);
    const std::vector<double> with_sum = objective_.products(state.sum(), options_.threads);
    std::vector<std::vector<double>> costs(objective_.groups());
    for (size_t g = 0, at = 0; g < costs.size(); ++g)
      for (size_t i = 0; i < objective_.items(g); ++i, ++at)
        costs[g].push_back(objective_.alone(g, i) + with_sum[at] - dot(objective_.terms_of(g, i), objective_.terms_of(g, choice[g])));
    return costs;
  }

  Status relinearise(std::vector<size_t> choice) {
    for (int n = 0; n < kRelinearised; ++n) {
      ASSAY_ASSIGN(KnapsackSolution next, knapsack(linearised(choice), 0));
      if (next.choice == choice) break;
      choice = std::move(next.choice);
      meet(choice);
    }
    return {};
  }

  // own + t.y of every item.
  std::vector<std::vector<double>> costs_at(const std::vector<double>& y) const {
    const std::vector<double> with = objective_.products(y, options_.threads);
    std::vector<std::vector<double>> costs(objective_.groups());
    for (size_t g = 0, at = 0; g < costs.size(); ++g)
      for (size_t i = 0; i < objective_.items(g); ++i, ++at) costs[g].push_back(objective_.own(g, i) + with[at]);
    return costs;
  }

  // What the knapsack at y proves.
  double proven(double knapsack_bound, const std::vector<double>& y) const {
    double square = 0, fixed = 0;
    for (size_t t = 0; t < y.size(); ++t) square += y[t] * y[t];
    for (size_t t = 0; t < objective_.fixed_sum().size(); ++t) fixed += objective_.fixed_sum()[t] * y[t];
    return objective_.fixed_own() + fixed + knapsack_bound - 0.5 * square;
  }

  Status climb_bound(const std::vector<size_t>& start) {
    VertexBundle bundle;
    bundle.add(objective_.own(start), objective_.sum(start));
    std::vector<double> best_y = bundle.sum();
    for (int step = 0; step < options_.bound_steps; ++step) {
      const std::vector<double> y = bundle.sum();
      ASSAY_ASSIGN(const KnapsackSolution vertex, knapsack(costs_at(y), 0));
      if (const double bound = proven(vertex.relaxed, y); bound > bound_) bound_ = bound, best_y = y;
      if (bundle.value() - bound_ <= kClose * std::fabs(bound_)) break;
      meet(vertex.choice);
      bundle.add(objective_.own(vertex.choice), objective_.sum(vertex.choice));
      bundle.mix();
    }
    // The whole knapsack at the best y proves a little more than its relaxation.
    ASSAY_ASSIGN(const KnapsackSolution exact, knapsack(costs_at(best_y), options_.max_states));
    bound_ = std::max(bound_, proven(exact.bound, best_y));
    meet(exact.choice);
    return {};
  }

  void search(const std::vector<size_t>& separable) {
    uint64_t cells = 0;
    for (size_t g = 0; g < bytes_.size(); ++g) cells += objective_.items(g);
    std::vector<std::vector<size_t>> starts = {met_.front().choice};
    if (cells * objective_.terms() <= options_.many_terms) {
      for (size_t m = 1; m < met_.size(); ++m) starts.push_back(met_[m].choice);
      if (std::find(starts.begin(), starts.end(), separable) == starts.end()) starts.push_back(separable);
    }
    solution_.damage = std::numeric_limits<double>::infinity();
    for (std::vector<size_t>& start : starts) {
      InteractionSearch found = search_interactions(objective_, bytes_, budget_, std::move(start), options_);
      solution_.evaluations += found.evaluations;
      solution_.moves += found.moves;
      solution_.all_pairs = found.all_pairs;
      if (found.damage >= solution_.damage) continue;
      solution_.damage = found.damage;
      solution_.choice = std::move(found.choice);
    }
  }

  static constexpr double kClose = 1e-6;  // the bound has nothing left to gain

  const InteractionObjective& objective_;
  const std::vector<std::vector<uint64_t>>& bytes_;
  uint64_t budget_;
  const InteractionOptions& options_;
  std::vector<Met> met_;  // best first
  double bound_ = -std::numeric_limits<double>::infinity();
  InteractionSolution solution_;
};

}  // namespace

Result<InteractionSolution> solve_interactions(const InteractionObjective& objective, const std::vector<std::vector<uint64_t>>& bytes,
                                               uint64_t budget, const InteractionOptions& options) {
  return InteractionSolver(objective, bytes, budget, options).solve();
}

}  // namespace assay
