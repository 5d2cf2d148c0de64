#include "assay/plan/knapsack.h"

#include <algorithm>
#include <string>

#include "assay/base/checked.h"
#include "assay/base/sum.h"
#include "assay/base/text.h"
#include "assay/plan/knapsack_hull.h"
#include "assay/plan/knapsack_search.h"

namespace assay {
namespace {

class Solver {
 public:
  Solver(std::span<const KnapsackGroup> groups, uint64_t budget) : budget_(budget) {
    for (const KnapsackGroup& group : groups) groups_.push_back(candidates_of(group));
    relaxed_.assign(groups_.size(), 0);
    for (const KnapsackCandidates& group : groups_) used_ += group.items.front().bytes;
  }

  KnapsackSolution solve(size_t max_states) {
    KnapsackSolution solution;
    solution.exact = relax();
    solution.relaxed = damage_of(relaxed_) - lambda_ * static_cast<double>(budget_ - used_);
    std::vector<size_t> best = relaxed_;
    if (!solution.exact) {
      fill(best);
      if (max_states > 0) solution.exact = search(best, solution.relaxed, max_states);
    }
    solution.damage = damage_of(best);
    solution.relaxed = std::min(solution.relaxed, solution.damage);  // rounding
    solution.bound = solution.exact ? solution.damage : solution.relaxed;
    solution.lambda = lambda_;
    for (size_t g = 0; g < groups_.size(); ++g) {
      solution.bytes += groups_[g].items[best[g]].bytes;
      solution.choice.push_back(groups_[g].original[best[g]]);
    }
    return solution;
  }

 private:
  double damage_of(const std::vector<size_t>& choice) const {
    CompensatedSum sum;
    for (size_t g = 0; g < groups_.size(); ++g) sum.add(groups_[g].items[choice[g]].damage);
    return sum.value();
  }

  // Climbs the hulls, best rate first, up to the first step that does not fit: the relaxed optimum is that choice with a
  // fraction of the step, and lambda is the step's rate. True if every step fits.
  bool relax() {
    for (const KnapsackStep& step : hull_steps(groups_)) {
      const uint64_t bytes = groups_[step.group].items[step.to].bytes - groups_[step.group].items[step.from].bytes;
      if (bytes > budget_ - used_) {
        lambda_ = step.rate;
        return false;
      }
      used_ += bytes;
      relaxed_[step.group] = step.to;
    }
    return true;
  }

  // Spends what is left: the change of one group that saves most per byte, as long as one fits.
  void fill(std::vector<size_t>& choice) const {
    for (uint64_t left = budget_ - used_;;) {
      double best_rate = 0;
      size_t group = 0, item = 0;
      for (size_t g = 0; g < groups_.size(); ++g) {
        const auto& items = groups_[g].items;
        for (size_t i = choice[g] + 1; i < items.size() && items[i].bytes - items[choice[g]].bytes <= left; ++i) {
          const double saved = saving_rate(items[choice[g]], items[i]);
          if (saved > best_rate) best_rate = saved, group = g, item = i;
        }
      }
      if (best_rate <= 0) return;
      left -= groups_[group].items[item].bytes - groups_[group].items[choice[group]].bytes;
      choice[group] = item;
    }
  }

  // Improves `best` by the exact search; true if the result is proven optimal.
  bool search(std::vector<size_t>& best, double relaxed_damage, size_t max_states) const {
    KnapsackCore core;
    core.room = static_cast<int64_t>(budget_ - used_);
    core.lambda = lambda_;
    core.excess = std::max(0.0, damage_of(best) - relaxed_damage);
    for (size_t g = 0; g < groups_.size(); ++g) {
      const auto& items = groups_[g].items;
      core.groups.emplace_back();
      for (size_t i = 0; i < items.size(); ++i) {
        if (i == relaxed_[g]) continue;
        const int64_t bytes = static_cast<int64_t>(items[i].bytes) - static_cast<int64_t>(items[relaxed_[g]].bytes);
        const double cost = items[i].damage - items[relaxed_[g]].damage + lambda_ * static_cast<double>(bytes);
        core.groups.back().push_back({static_cast<uint32_t>(i), bytes, std::max(0.0, cost)});
      }
    }
    const KnapsackImprovement improvement = search_core(core, max_states);
    if (improvement.found) {
      best = relaxed_;
      for (const auto& change : improvement.changes) best[change.group] = change.item;
    }
    return improvement.exact;
  }

  std::vector<KnapsackCandidates> groups_;
  uint64_t budget_;
  std::vector<size_t> relaxed_;  // the relaxed optimum without its fractional step
  uint64_t used_ = 0;            // bytes of it
  double lambda_ = 0;
};

}  // namespace

Result<KnapsackSolution> solve_knapsack(std::span<const KnapsackGroup> groups, uint64_t budget, const KnapsackOptions& options) {
  CheckedSize smallest = 0, largest = 0;
  for (size_t g = 0; g < groups.size(); ++g) {
    if (groups[g].empty()) return fail(ErrorCode::kUsage, "plan: group " + std::to_string(g) + " has no type it could take");
    uint64_t low = UINT64_MAX, high = 0;
    for (const KnapsackItem& item : groups[g]) {
      if (!std::isfinite(item.damage))
        return fail(ErrorCode::kBadInput, "plan: group " + std::to_string(g) + " has a damage that is not finite");
      low = std::min(low, item.bytes);
      high = std::max(high, item.bytes);
    }
    smallest = smallest + low;
    largest = largest + high;
  }
  if (!largest.fits(INT64_MAX)) return fail(ErrorCode::kBadInput, "plan: the sizes of the groups add up to more than a file can hold");
  if (*smallest.value() > budget) {
    return fail(ErrorCode::kUsage, {"plan: the smallest choice of types", "takes " + group_digits(*smallest.value()) + " bytes",
                                    "the budget leaves " + group_digits(budget), "allow smaller types or a larger size"});
  }
  return Solver(groups, std::min(budget, *largest.value())).solve(options.max_states);
}

}  // namespace assay
