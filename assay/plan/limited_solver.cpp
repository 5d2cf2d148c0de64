#include "assay/plan/limited_solver.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "assay/base/sum.h"
#include "assay/base/text.h"

namespace assay {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kSlack = 1 + 1e-12;  // of a limit, for rounding

// At least as much of one limit as any choice must use.
double least_use(const LimitedProblem& problem, size_t limit) {
  double sum = 0;
  for (const auto& group : problem.groups) {
    double least = kInfinity;
    for (const LimitedItem& item : group) least = std::min(least, item.use[limit]);
    sum += least;
  }
  return sum;
}

class LimitedSolver {
 public:
  LimitedSolver(const LimitedProblem& problem, const LimitedOptions& options) : problem_(problem), options_(options) {
    const size_t limits = problem.limits.size();
    // Uses in parts of their limit, so that prices are in damage.
    for (const UseLimit& limit : problem.limits) scale_.push_back(limit.most > 0 ? 1 / limit.most : 1);
    prices_.assign(limits, 0);
    best_prices_.assign(limits, 0);
  }

  Result<LimitedSolution> solve() {
    ASSAY_TRY(reachable());
    climb();
    if (best_.empty()) return contradiction();
    exchange(best_);
    return answer();
  }

 private:
  double use(size_t g, size_t i, size_t k) const { return problem_.groups[g][i].use[k] * scale_[k]; }

  std::vector<double> uses(const std::vector<size_t>& choice) const {
    std::vector<double> sums;
    for (size_t k = 0; k < scale_.size(); ++k) {
      CompensatedSum sum;
      for (size_t g = 0; g < choice.size(); ++g) sum.add(use(g, choice[g], k));
      sums.push_back(sum.value());
    }
    return sums;
  }
  double damage(const std::vector<size_t>& choice) const {
    CompensatedSum sum;
    for (size_t g = 0; g < choice.size(); ++g) sum.add(problem_.groups[g][choice[g]].damage);
    return sum.value();
  }
  double most(size_t k) const { return problem_.limits[k].most * scale_[k]; }
  bool keeps(const std::vector<double>& used) const {
    for (size_t k = 0; k < used.size(); ++k)
      if (used[k] > most(k) * kSlack) return false;
    return true;
  }
  double priced(size_t g, size_t i) const {
    double cost = problem_.groups[g][i].damage;
    for (size_t k = 0; k < prices_.size(); ++k) cost += prices_[k] * use(g, i, k);
    return cost;
  }

  Status reachable() const {
    for (size_t k = 0; k < scale_.size(); ++k) {
      const double least = least_use(problem_, k);
      if (least > problem_.limits[k].most * kSlack)
        return fail(ErrorCode::kUsage, {"plan: limit " + problem_.limits[k].name, fmt::format("is {:.6g}", problem_.limits[k].most),
                                        fmt::format("at least {:.6g} is needed with the smallest types allowed", least), ""});
    }
    return {};
  }

  // Subgradient steps of Polyak's length towards the best recipe known; every few rounds a recipe is made at the prices.
  void climb() {
    double length = 1;
    double best_bound = -kInfinity;
    int since = 0;
    for (int round = 0; round < options_.rounds; ++round) {
      std::vector<size_t> choice(problem_.groups.size());
      CompensatedSum value;
      for (size_t g = 0; g < choice.size(); ++g) {
        double least = kInfinity;
        for (size_t i = 0; i < problem_.groups[g].size(); ++i)
          if (const double cost = priced(g, i); cost < least) least = cost, choice[g] = i;
        value.add(least);
      }
      for (size_t k = 0; k < prices_.size(); ++k) value.add(-prices_[k] * most(k));
      if (value.value() > best_bound) {
        best_bound = value.value();
        best_prices_ = prices_;
        since = 0;
      } else if (++since == 10) {
        length /= 2;
        since = 0;
        prices_ = best_prices_;
      }
      const std::vector<double> used = uses(choice);
      repair(choice);
      if (best_.empty() || bound_ < best_bound) bound_ = best_bound;
      double norm = 0;
      std::vector<double> slope(used.size());
      for (size_t k = 0; k < used.size(); ++k) {
        slope[k] = used[k] - most(k);
        if (slope[k] < 0 && prices_[k] == 0) slope[k] = 0;
        norm += slope[k] * slope[k];
      }
      if (norm == 0) break;  // the choice keeps to all limits, and no price is paid for nothing
      const double target = best_.empty() ? std::fabs(value.value()) * 1.1 + 1e-300 : best_damage_;
      const double step = length * std::max(target - value.value(), 1e-12 * std::fabs(target)) / norm;
      for (size_t k = 0; k < used.size(); ++k) prices_[k] = std::max(0.0, prices_[k] + step * slope[k]);
    }
    bound_ = std::max(bound_, best_bound);
    prices_ = best_prices_;
  }

  // Lowers what exceeds a limit, cheapest first, spends what is left, and keeps the result if it is the best.
  void repair(std::vector<size_t> choice) {
    std::vector<double> used = uses(choice);
    for (size_t steps = 0; !keeps(used); ++steps) {
      double best = kInfinity;
      size_t group = 0, item = 0;
      for (size_t g = 0; g < choice.size(); ++g)
        for (size_t i = 0; i < problem_.groups[g].size(); ++i) {
          double less = 0;
          for (size_t k = 0; k < used.size(); ++k) {
            const double over = std::max(0.0, used[k] - most(k)), change = use(g, i, k) - use(g, choice[g], k);
            less += over - std::max(0.0, used[k] + change - most(k));
          }
          if (less <= 0) continue;
          const double cost = (problem_.groups[g][i].damage - problem_.groups[g][choice[g]].damage) / less;
          if (cost < best) best = cost, group = g, item = i;
        }
      if (best == kInfinity || steps > 4 * choice.size()) return;
      move(choice, used, group, item);
    }
    fill(choice, used);
    const double reached = damage(choice);
    if (best_.empty() || reached < best_damage_) best_ = std::move(choice), best_damage_ = reached;
  }

  void move(std::vector<size_t>& choice, std::vector<double>& used, size_t group, size_t item) const {
    for (size_t k = 0; k < used.size(); ++k) used[k] += use(group, item, k) - use(group, choice[group], k);
    choice[group] = item;
  }
  bool fits(const std::vector<double>& used, size_t g, size_t from, size_t to) const {
    for (size_t k = 0; k < used.size(); ++k)
      if (used[k] + use(g, to, k) - use(g, from, k) > most(k)) return false;
    return true;
  }

  void fill(std::vector<size_t>& choice, std::vector<double>& used) const {
    for (;;) {
      double best = 0;
      size_t group = 0, item = 0;
      for (size_t g = 0; g < choice.size(); ++g)
        for (size_t i = 0; i < problem_.groups[g].size(); ++i) {
          const double saved = problem_.groups[g][choice[g]].damage - problem_.groups[g][i].damage;
          if (saved <= 0 || !fits(used, g, choice[g], i)) continue;
          double paid = 1e-12;
          for (size_t k = 0; k < used.size(); ++k)
            paid += std::max(0.0, use(g, i, k) - use(g, choice[g], k)) / std::max(1e-9, most(k) - used[k]);
          if (saved / paid > best) best = saved / paid, group = g, item = i;
        }
      if (best == 0) return;
      move(choice, used, group, item);
    }
  }

  // Two groups change at once, as long as that helps: one gives what the other takes.
  void exchange(std::vector<size_t>& choice) {
    constexpr size_t kMost = 400;  // groups beyond which all pairs are too many
    if (choice.size() > kMost) return;
    std::vector<double> used = uses(choice);
    for (bool better = true; better;) {
      better = false;
      for (size_t a = 0; a < choice.size(); ++a)
        for (size_t i = 0; i < problem_.groups[a].size(); ++i) {
          const double paid = problem_.groups[a][i].damage - problem_.groups[a][choice[a]].damage;
          if (paid <= 0 || i == choice[a]) continue;
          std::vector<double> left = used;
          for (size_t k = 0; k < left.size(); ++k) left[k] += use(a, i, k) - use(a, choice[a], k);
          if (!keeps(left)) continue;
          double best = paid * (1 + 1e-9);
          size_t group = choice.size(), item = 0;
          for (size_t b = 0; b < choice.size(); ++b)
            for (size_t j = 0; b != a && j < problem_.groups[b].size(); ++j) {
              const double saved = problem_.groups[b][choice[b]].damage - problem_.groups[b][j].damage;
              if (saved > best && fits(left, b, choice[b], j)) best = saved, group = b, item = j;
            }
          if (group == choice.size()) continue;
          move(choice, used, a, i);
          move(choice, used, group, item);
          better = true;
        }
    }
    best_damage_ = damage(choice);
  }

  // Limits are left out one by one as long as the rest still contradict each other.
  tl::unexpected<Error> contradiction() const {
    std::vector<size_t> set(scale_.size());
    std::iota(set.begin(), set.end(), size_t{0});
    for (size_t n = 0; n < set.size() && set.size() > 1;) {
      std::vector<size_t> fewer = set;
      fewer.erase(fewer.begin() + static_cast<ptrdiff_t>(n));
      LimitedProblem part;
      for (const size_t k : fewer) part.limits.push_back(problem_.limits[k]);
      for (const auto& group : problem_.groups) {
        part.groups.emplace_back();
        for (const LimitedItem& item : group) {
          part.groups.back().push_back({item.damage, {}});
          for (const size_t k : fewer) part.groups.back().back().use.push_back(item.use[k]);
        }
      }
      LimitedSolver solver(part, options_);
      if (solver.reachable()) solver.climb();
      if (solver.best_.empty())
        set = std::move(fewer);
      else
        ++n;
    }
    std::vector<std::string> names;
    for (const size_t k : set)
      names.push_back(fmt::format("{} (at most {:.6g}; alone {:.6g} would do)", problem_.limits[k].name, problem_.limits[k].most,
                                  least_use(problem_, k)));
    return fail(ErrorCode::kUsage,
                {"plan: no recipe was found", "that keeps to " + join(names, " and "), "looser limits, or smaller types", ""});
  }

  LimitedSolution answer() const {
    LimitedSolution solution;
    solution.choice = best_;
    solution.damage = best_damage_;
    solution.bound = std::min(bound_, best_damage_);
    solution.prices = prices_;
    for (size_t k = 0; k < scale_.size(); ++k) {
      CompensatedSum use;
      for (size_t g = 0; g < best_.size(); ++g) use.add(problem_.groups[g][best_[g]].use[k]);
      solution.use.push_back(use.value());
      solution.prices[k] *= scale_[k];
    }
    return solution;
  }

  const LimitedProblem& problem_;
  const LimitedOptions& options_;
  std::vector<double> scale_;                 // 1 / limit
  std::vector<double> prices_, best_prices_;  // per part of the limit
  std::vector<size_t> best_;
  double best_damage_ = kInfinity, bound_ = -kInfinity;
};

}  // namespace

Result<LimitedSolution> solve_limited(const LimitedProblem& problem, const LimitedOptions& options) {
  for (const UseLimit& limit : problem.limits)
    if (!std::isfinite(limit.most) || limit.most < 0) return fail(ErrorCode::kBadInput, "plan: limit " + limit.name + " is no amount");
  for (const auto& group : problem.groups) {
    if (group.empty()) return fail(ErrorCode::kUsage, "plan: a group has no type it could take");
    for (const LimitedItem& item : group) {
      const bool finite = std::isfinite(item.damage) &&
                          std::all_of(item.use.begin(), item.use.end(), [](double use) { return std::isfinite(use) && use >= 0; });
      if (!finite || item.use.size() != problem.limits.size())
        return fail(ErrorCode::kBadInput, "plan: a damage or use is no finite number");
    }
  }
  return LimitedSolver(problem, options).solve();
}

}  // namespace assay
