#include "assay/plan/knapsack.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "assay/base/text.h"

namespace assay {
namespace {

// Items of a group that can be optimal: ascending bytes, strictly descending damage.
struct Pruned {
  std::vector<KnapsackItem> items;
  std::vector<size_t> original;
};

Pruned prune(const KnapsackGroup& group) {
  std::vector<size_t> order(group.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return group[a].bytes != group[b].bytes ? group[a].bytes < group[b].bytes : group[a].damage < group[b].damage;
  });
  Pruned pruned;
  for (const size_t i : order) {
    if (!pruned.items.empty() && group[i].damage >= pruned.items.back().damage) continue;
    pruned.items.push_back(group[i]);
    pruned.original.push_back(i);
  }
  return pruned;
}

class Solver {
 public:
  Solver(std::span<const KnapsackGroup> groups, uint64_t budget, const KnapsackOptions& options) : budget_(budget), options_(options) {
    for (const KnapsackGroup& group : groups) groups_.push_back(prune(group));
  }

  Result<KnapsackSolution> solve() {
    uint64_t smallest = 0;
    for (const Pruned& group : groups_) smallest += group.items.front().bytes;
    if (smallest > budget_) {
      return fail(ErrorCode::kUsage, {"plan: the smallest choice of types", "takes " + group_digits(smallest) + " bytes", "the budget leaves " + group_digits(budget_), "allow smaller types or a larger size"});
    }
    bound();
    fill();
    merge();
    KnapsackSolution solution;
    solution.bytes = bytes_of(best_);
    solution.damage = damage_of(best_);
    solution.bound = exact_ ? solution.damage : std::min(bound_, solution.damage);
    solution.lambda = lambda_;
    solution.exact = exact_;
    for (size_t g = 0; g < groups_.size(); ++g) solution.choice.push_back(groups_[g].original[best_[g]]);
    return solution;
  }

 private:
  using Choice = std::vector<size_t>;

  uint64_t bytes_of(const Choice& choice) const {
    uint64_t bytes = 0;
    for (size_t g = 0; g < groups_.size(); ++g) bytes += groups_[g].items[choice[g]].bytes;
    return bytes;
  }
  double damage_of(const Choice& choice) const {
    double damage = 0;
    for (size_t g = 0; g < groups_.size(); ++g) damage += groups_[g].items[choice[g]].damage;
    return damage;
  }

  // The choice that minimises damage + lambda * bytes; ties to the smaller item.
  Choice relaxed(double lambda) const {
    Choice choice;
    for (const Pruned& group : groups_) {
      size_t best = 0;
      double value = std::numeric_limits<double>::infinity();
      for (size_t i = 0; i < group.items.size(); ++i) {
        const double v = group.items[i].damage + lambda * static_cast<double>(group.items[i].bytes);
        if (v < value) value = v, best = i;
      }
      choice.push_back(best);
    }
    return choice;
  }

  double dual(const Choice& choice, double lambda) const {
    return damage_of(choice) + lambda * (static_cast<double>(bytes_of(choice)) - static_cast<double>(budget_));
  }

  // Bisection on lambda; keeps the best feasible relaxed choice and the largest dual value.
  void bound() {
    double low = 0, high = 1e-30;
    Choice choice = relaxed(0);
    bound_ = dual(choice, 0);
    best_ = choice;
    if (bytes_of(choice) <= budget_) return;
    while (bytes_of(relaxed(high)) > budget_) high *= 4;
    best_ = relaxed(high);
    lambda_ = high;
    for (int i = 0; i < 200 && high - low > 1e-15 * high; ++i) {
      const double middle = 0.5 * (low + high);
      choice = relaxed(middle);
      const double value = dual(choice, middle);
      if (value > bound_) bound_ = value, lambda_ = middle;
      if (bytes_of(choice) <= budget_) {
        high = middle;
        if (damage_of(choice) < damage_of(best_)) best_ = choice;
      } else {
        low = middle;
      }
    }
  }

  // Spends what is left: the change of one group with the most damage saved per byte, as long as one fits.
  void fill() {
    uint64_t bytes = bytes_of(best_);
    for (;;) {
      double rate = 0;
      size_t group = 0, item = 0;
      for (size_t g = 0; g < groups_.size(); ++g) {
        const auto& items = groups_[g].items;
        for (size_t i = best_[g] + 1; i < items.size(); ++i) {
          const uint64_t more = items[i].bytes - items[best_[g]].bytes;
          if (bytes + more > budget_) break;
          const double saved = (items[best_[g]].damage - items[i].damage) / static_cast<double>(std::max<uint64_t>(more, 1));
          if (saved > rate) rate = saved, group = g, item = i;
        }
      }
      if (rate <= 0) return;
      bytes += groups_[group].items[item].bytes - groups_[group].items[best_[group]].bytes;
      best_[group] = item;
    }
  }

  struct State {
    uint64_t bytes;
    double damage;
    uint32_t parent;
    uint32_t item;
  };

  // Group by group, the list of undominated (bytes, damage); a state whose Lagrangian completion exceeds the incumbent is dropped.
  void merge() {
    const size_t n = groups_.size();
    // The groups with the widest spread of reduced cost first would prune best; file order keeps ties deterministic and is enough.
    std::vector<double> rest(n + 1, 0);  // least damage + lambda bytes of groups g..n
    for (size_t g = n; g-- > 0;) {
      double least = std::numeric_limits<double>::infinity();
      for (const KnapsackItem& item : groups_[g].items) least = std::min(least, item.damage + lambda_ * static_cast<double>(item.bytes));
      rest[g] = rest[g + 1] + least;
    }
    std::vector<uint64_t> smallest(n + 1, 0);
    for (size_t g = n; g-- > 0;) smallest[g] = smallest[g + 1] + groups_[g].items.front().bytes;
    const double incumbent = damage_of(best_);
    const double slack = 1e-12 * std::max(1.0, std::abs(incumbent));
    std::vector<std::vector<State>> levels(1, {State{0, 0, 0, 0}});
    for (size_t g = 0; g < n; ++g) {
      std::vector<State> next;
      for (uint32_t p = 0; p < levels[g].size(); ++p) {
        const State& state = levels[g][p];
        for (uint32_t i = 0; i < groups_[g].items.size(); ++i) {
          const uint64_t bytes = state.bytes + groups_[g].items[i].bytes;
          if (bytes + smallest[g + 1] > budget_) break;
          const double damage = state.damage + groups_[g].items[i].damage;
          const double completion = damage + rest[g + 1] - lambda_ * (static_cast<double>(budget_) - static_cast<double>(bytes));
          if (completion > incumbent + slack) continue;
          next.push_back({bytes, damage, p, i});
        }
      }
      std::sort(next.begin(), next.end(), [](const State& a, const State& b) { return a.bytes != b.bytes ? a.bytes < b.bytes : a.damage < b.damage; });
      std::vector<State> kept;
      for (const State& state : next)
        if (kept.empty() || state.damage < kept.back().damage) kept.push_back(state);
      if (kept.size() > options_.max_states) return;
      levels.push_back(std::move(kept));
    }
    exact_ = true;
    if (levels[n].empty() || levels[n].back().damage >= incumbent) return;
    auto at = static_cast<uint32_t>(levels[n].size() - 1);
    for (size_t g = n; g > 0; --g) {
      best_[g - 1] = levels[g][at].item;
      at = levels[g][at].parent;
    }
  }

  std::vector<Pruned> groups_;
  uint64_t budget_;
  KnapsackOptions options_;
  Choice best_;
  double bound_ = 0, lambda_ = 0;
  bool exact_ = false;
};

}  // namespace

Result<KnapsackSolution> solve_knapsack(std::span<const KnapsackGroup> groups, uint64_t budget, const KnapsackOptions& options) {
  for (size_t g = 0; g < groups.size(); ++g) {
    if (groups[g].empty()) return fail(ErrorCode::kUsage, "plan: group " + std::to_string(g) + " has no type it could take");
    for (const KnapsackItem& item : groups[g])
      if (!std::isfinite(item.damage)) return fail(ErrorCode::kBadInput, "plan: group " + std::to_string(g) + " has a damage that is not finite");
  }
  return Solver(groups, budget, options).solve();
}

}  // namespace assay
