#include "assay/plan/knapsack_search.h"

#include <algorithm>
#include <limits>

namespace assay {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// One level may hold at most this share of the states of the whole search.
constexpr size_t kLevelShare = 8;

struct State {
  int64_t bytes;  // against the relaxed choice
  double cost;    // sum of the moves' costs
  uint32_t parent;
  uint32_t item;
};

// How a state came to be: the state one level up, and the move taken (kStay: none).
struct Link {
  uint32_t parent;
  uint32_t item;
};
constexpr uint32_t kStay = UINT32_MAX;

struct Level {
  size_t group;
  double least_cost;  // of its moves
  double up, down;    // least cost per byte added, per byte freed, here and in all later levels
};

class Search {
 public:
  Search(const KnapsackCore& core, size_t max_states) : core_(core), max_states_(max_states), best_(core.excess) { order_groups(); }

  KnapsackImprovement run() {
    KnapsackImprovement result;
    std::vector<State> states = {{0, 0, 0, kStay}};
    bool complete = true;
    size_t used = 0;
    // Groups come in the order of their cheapest move: once that costs more than the best excess, no later group can change.
    for (size_t k = 0; k < levels_.size() && levels_[k].least_cost < best_ && !states.empty(); ++k) {
      states = expand(states, k);
      const size_t limit = std::max<size_t>(1, max_states_ / kLevelShare);
      if (states.size() > limit) {
        keep_most_promising(states, k + 1, limit);
        complete = false;
      }
      used += states.size();
      if (used > max_states_) {
        complete = false;
        break;
      }
      links_.emplace_back();
      links_.back().reserve(states.size());
      for (size_t i = 0; i < states.size(); ++i) {
        links_.back().push_back({states[i].parent, states[i].item});
        const int64_t unused = core_.room - states[i].bytes;
        const double excess = states[i].cost + core_.lambda * static_cast<double>(unused);
        if (unused >= 0 && excess < best_) {
          best_ = excess;
          best_state_ = static_cast<uint32_t>(i);
          result.found = true;
          best_level_ = links_.size();
        }
      }
    }
    result.exact = complete;
    if (result.found) trace(result);
    return result;
  }

 private:
  void order_groups() {
    for (size_t g = 0; g < core_.groups.size(); ++g) {
      Level level{g, kInfinity, kInfinity, kInfinity};
      for (const KnapsackMove& move : core_.groups[g]) {
        level.least_cost = std::min(level.least_cost, move.cost);
        double& rate = move.bytes > 0 ? level.up : level.down;
        rate = std::min(rate, move.cost / std::abs(static_cast<double>(move.bytes)));
      }
      if (level.least_cost < best_) levels_.push_back(level);
    }
    std::stable_sort(levels_.begin(), levels_.end(), [](const Level& a, const Level& b) { return a.least_cost < b.least_cost; });
    for (size_t k = levels_.size(); k-- > 1;) {
      levels_[k - 1].up = std::min(levels_[k - 1].up, levels_[k].up);
      levels_[k - 1].down = std::min(levels_[k - 1].down, levels_[k].down);
    }
  }

  // The least excess any completion by levels k.. can have.
  double bound(int64_t bytes, double cost, size_t k) const {
    const auto unused = static_cast<double>(core_.room - bytes);
    const double up = k < levels_.size() ? levels_[k].up : kInfinity;
    const double down = k < levels_.size() ? levels_[k].down : kInfinity;
    if (unused == 0) return cost;
    return unused > 0 ? cost + unused * std::min(core_.lambda, up) : cost - unused * down;
  }

  // All states of level k: every state so far with every move of the group or none; ascending bytes, undominated, below the best.
  std::vector<State> expand(const std::vector<State>& states, size_t k) const {
    std::vector<State> all;
    std::vector<size_t> runs = {0};  // each run ascends in bytes
    const auto add_run = [&](int64_t bytes, double cost, uint32_t item) {
      for (size_t i = 0; i < states.size(); ++i) {
        const State next{states[i].bytes + bytes, states[i].cost + cost, static_cast<uint32_t>(i), item};
        if (bound(next.bytes, next.cost, k + 1) < best_) all.push_back(next);
      }
      runs.push_back(all.size());
    };
    add_run(0, 0, kStay);
    for (const KnapsackMove& move : core_.groups[levels_[k].group])
      if (move.cost < best_) add_run(move.bytes, move.cost, move.item);
    merge_runs(all, runs);
    // Same completions, fewer or equal bytes and no more damage: the other is dominated. Damage = cost - lambda * bytes.
    size_t kept = 0;
    double least = kInfinity;
    for (const State& state : all) {
      const double damage = state.cost - core_.lambda * static_cast<double>(state.bytes);
      if (damage >= least) continue;
      least = damage;
      all[kept++] = state;
    }
    all.resize(kept);
    return all;
  }

  static void merge_runs(std::vector<State>& all, std::vector<size_t> runs) {
    const auto less = [](const State& a, const State& b) { return a.bytes != b.bytes ? a.bytes < b.bytes : a.cost < b.cost; };
    const auto at = [&](size_t i) { return all.begin() + static_cast<ptrdiff_t>(i); };
    while (runs.size() > 2) {
      std::vector<size_t> merged = {0};
      for (size_t i = 0; i + 1 < runs.size(); i += 2) {
        const size_t end = runs[std::min(i + 2, runs.size() - 1)];
        std::inplace_merge(at(runs[i]), at(runs[i + 1]), at(end), less);
        merged.push_back(end);
      }
      runs = std::move(merged);
    }
  }

  void keep_most_promising(std::vector<State>& states, size_t k, size_t limit) const {
    const auto middle = states.begin() + static_cast<ptrdiff_t>(limit);
    std::nth_element(states.begin(), middle, states.end(), [&](const State& a, const State& b) {
      const double bound_a = bound(a.bytes, a.cost, k), bound_b = bound(b.bytes, b.cost, k);
      return bound_a != bound_b ? bound_a < bound_b : a.bytes < b.bytes;
    });
    states.erase(middle, states.end());
    std::sort(states.begin(), states.end(), [](const State& a, const State& b) { return a.bytes < b.bytes; });
  }

  void trace(KnapsackImprovement& result) const {
    uint32_t state = best_state_;
    for (size_t k = best_level_; k-- > 0;) {
      const Link& link = links_[k][state];
      if (link.item != kStay) result.changes.push_back({levels_[k].group, link.item});
      state = link.parent;
    }
  }

  const KnapsackCore& core_;
  size_t max_states_;
  double best_;
  std::vector<Level> levels_;
  std::vector<std::vector<Link>> links_;
  uint32_t best_state_ = 0;
  size_t best_level_ = 0;
};

}  // namespace

KnapsackImprovement search_core(const KnapsackCore& core, size_t max_states) { return Search(core, max_states).run(); }

}  // namespace assay
