#include "assay/plan/solve_worst.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "assay/base/sum.h"
#include "assay/plan/knapsack.h"

namespace assay {
namespace {

constexpr double kImproves = 1e-12;  // of the damage: less is rounding

// The nearest point whose parts are not negative and add up to 1.
std::vector<double> on_simplex(std::vector<double> values) {
  std::vector<double> sorted = values;
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  double sum = 0, shift = 0;
  for (size_t k = 0; k < sorted.size(); ++k) {
    sum += sorted[k];
    const double one = (sum - 1) / static_cast<double>(k + 1);
    if (sorted[k] > one) shift = one;
  }
  for (double& value : values) value = std::max(0.0, value - shift);
  return values;
}

class WorstSolver {
 public:
  WorstSolver(const WorstProblem& problem, const WorstOptions& options) : problem_(problem), options_(options) {
    best_.damage = std::numeric_limits<double>::infinity();
  }

  Result<WorstSolution> solve() {
    ASSAY_TRY(climb());
    for (Met& met : met_) {
      while (improve(met)) {
      }
      if (met.damage < best_.damage) best_.damage = met.damage, best_.damages = met.damages, best_.choice = met.choice;
    }
    best_.bound = std::min(bound_, best_.damage);
    return std::move(best_);
  }

 private:
  std::vector<double> damages(const std::vector<size_t>& choice) const {
    std::vector<double> sums;
    for (size_t d = 0; d < problem_.damages.size(); ++d) {
      CompensatedSum sum;
      sum.add(problem_.fixed[d]);
      for (size_t g = 0; g < choice.size(); ++g) sum.add(problem_.damages[d][g][choice[g]]);
      sums.push_back(sum.value());
    }
    return sums;
  }

  struct Met {
    double damage = 0;
    std::vector<double> damages;
    std::vector<size_t> choice;
  };

  // Keeps a choice if it is among the best met. Returns its damages.
  std::vector<double> take(std::vector<size_t> choice) {
    std::vector<double> sums = damages(choice);
    const double worst = *std::max_element(sums.begin(), sums.end());
    const auto same = [&](const Met& one) { return one.choice == choice; };
    if (std::any_of(met_.begin(), met_.end(), same)) return sums;
    const auto at = std::upper_bound(met_.begin(), met_.end(), worst, [](double value, const Met& one) { return value < one.damage; });
    met_.insert(at, {worst, sums, std::move(choice)});
    if (met_.size() > static_cast<size_t>(std::max(1, options_.starts))) met_.pop_back();
    return sums;
  }

  Result<KnapsackSolution> knapsack(const std::vector<double>& weights, size_t max_states) const {
    std::vector<KnapsackGroup> groups(problem_.bytes.size());
    for (size_t g = 0; g < groups.size(); ++g)
      for (size_t i = 0; i < problem_.bytes[g].size(); ++i) {
        KnapsackItem item{problem_.bytes[g][i], 0};
        for (size_t d = 0; d < weights.size(); ++d) item.damage += weights[d] * problem_.damages[d][g][i];
        groups[g].push_back(item);
      }
    KnapsackOptions options;
    options.max_states = max_states;
    return solve_knapsack(groups, problem_.budget, options);
  }

  double fixed(const std::vector<double>& weights) const {
    double sum = 0;
    for (size_t d = 0; d < weights.size(); ++d) sum += weights[d] * problem_.fixed[d];
    return sum;
  }

  Status climb() {
    const size_t domains = problem_.damages.size();
    std::vector<double> weights(domains, 1 / static_cast<double>(domains));
    best_.weights = weights;
    double length = 1;
    int since = 0;
    for (int round = 0; round < options_.rounds; ++round) {
      ASSAY_ASSIGN(KnapsackSolution solved, knapsack(weights, 0));
      const double value = solved.relaxed + fixed(weights);
      if (value > bound_) {
        bound_ = value;
        best_.weights = weights;
        since = 0;
      } else if (++since == 10) {
        length /= 2;
        since = 0;
        weights = best_.weights;
        continue;
      }
      const std::vector<double> slope = take(std::move(solved.choice));
      double mean = 0, norm = 0;
      for (const double one : slope) mean += one / static_cast<double>(domains);
      for (const double one : slope) norm += (one - mean) * (one - mean);
      if (norm <= 0) break;  // all domains alike: nothing to shift
      const double step = length * std::max(met_[0].damage - value, 1e-9 * std::fabs(met_[0].damage)) / norm;
      for (size_t d = 0; d < domains; ++d) weights[d] += step * (slope[d] - mean);
      weights = on_simplex(std::move(weights));
    }
    ASSAY_ASSIGN(KnapsackSolution exact, knapsack(best_.weights, options_.max_states));
    bound_ = std::max(bound_, exact.bound + fixed(best_.weights));
    best_.lambda = exact.lambda;
    take(std::move(exact.choice));
    return {};
  }

  struct Change {
    size_t group = 0, item = 0;
    int64_t bytes = 0;
  };

  // The change of one group or of two that leaves least in the worst domain. False: none does better.
  bool improve(Met& met) const {
    const size_t domains = problem_.damages.size();
    std::vector<size_t>& choice = met.choice;
    std::vector<Change> changes;
    std::vector<double> more;  // [change][domain]
    auto left = static_cast<int64_t>(problem_.budget);
    for (size_t g = 0; g < choice.size(); ++g) {
      left -= static_cast<int64_t>(problem_.bytes[g][choice[g]]);
      for (size_t i = 0; i < problem_.bytes[g].size(); ++i) {
        if (i == choice[g]) continue;
        changes.push_back({g, i, static_cast<int64_t>(problem_.bytes[g][i]) - static_cast<int64_t>(problem_.bytes[g][choice[g]])});
        for (size_t d = 0; d < domains; ++d) more.push_back(problem_.damages[d][g][i] - problem_.damages[d][g][choice[g]]);
      }
    }
    double least = met.damage * (1 - kImproves);
    const Change *first = nullptr, *second = nullptr;
    for (size_t a = 0; a < changes.size(); ++a) {
      if (changes[a].bytes > left) continue;
      double worst = -std::numeric_limits<double>::infinity();
      for (size_t d = 0; d < domains; ++d) worst = std::max(worst, met.damages[d] + more[a * domains + d]);
      if (worst < least) least = worst, first = &changes[a];
    }
    if (changes.size() * changes.size() / 2 <= options_.all_pairs)
      for (size_t a = 0; a < changes.size(); ++a)
        for (size_t b = a + 1; b < changes.size(); ++b) {
          if (changes[a].group == changes[b].group || changes[a].bytes + changes[b].bytes > left) continue;
          double worst = -std::numeric_limits<double>::infinity();
          for (size_t d = 0; d < domains; ++d) worst = std::max(worst, met.damages[d] + more[a * domains + d] + more[b * domains + d]);
          if (worst < least) least = worst, first = &changes[a], second = &changes[b];
        }
    if (first == nullptr) return false;
    choice[first->group] = first->item;
    if (second != nullptr) choice[second->group] = second->item;
    met.damages = damages(choice);
    met.damage = *std::max_element(met.damages.begin(), met.damages.end());
    return true;
  }

  const WorstProblem& problem_;
  const WorstOptions& options_;
  double bound_ = -std::numeric_limits<double>::infinity();
  std::vector<Met> met_;  // best first
  WorstSolution best_;
};

}  // namespace

Result<WorstSolution> solve_worst(const WorstProblem& problem, const WorstOptions& options) {
  return WorstSolver(problem, options).solve();
}

}  // namespace assay
