#include "assay/plan/interaction_search.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "assay/base/parallel.h"

namespace assay {
namespace {

constexpr size_t kPairsOfAGroup = 8;  // where not all are examined: so many times the groups, most promising first

// A group's change to an item, at some choice.
struct Change {
  size_t group = 0, item = 0;
  int64_t bytes = 0;  // more
  double damage = 0;  // more
};
struct Pair {
  Change a, b;        // the same: one change
  double damage = 0;  // more, by both
};

class LocalSearch {
 public:
  LocalSearch(const InteractionObjective& objective, const std::vector<std::vector<uint64_t>>& bytes, uint64_t budget,
              std::vector<size_t> start, const InteractionOptions& options)
      : objective_(objective), bytes_(bytes), options_(options), state_(objective, std::move(start)), with_own_(bytes.size()) {
    uint64_t used = 0;
    for (size_t g = 0; g < bytes.size(); ++g) used += bytes[g][state_.choice()[g]];
    left_ = static_cast<int64_t>(budget - used);
    enough_ = options.least_gain * std::fabs(objective.damage(state_.choice()));
  }

  InteractionSearch run() {
    while (round()) {
    }
    result_.choice = state_.choice();
    result_.damage = objective_.damage(result_.choice);
    return std::move(result_);
  }

 private:
  int64_t more_bytes(size_t g, size_t i) const {
    return static_cast<int64_t>(bytes_[g][i]) - static_cast<int64_t>(bytes_[g][state_.choice()[g]]);
  }

  void take(size_t g, size_t i) {
    left_ -= more_bytes(g, i);
    state_.move(g, i);
    with_own_[g].clear();
    ++result_.moves;
  }

  // All changes of single groups, by groups.
  std::vector<Change> changes() {
    std::vector<std::vector<double>> damages(objective_.groups());
    parallel_for(damages.size(), options_.threads, [&](size_t g) {
      if (with_own_[g].empty()) with_own_[g] = state_.products_with_own(g);
      damages[g].resize(objective_.items(g));
      state_.changes(g, with_own_[g], damages[g]);
    });
    std::vector<Change> all;
    for (size_t g = 0; g < damages.size(); ++g)
      for (size_t i = 0; i < damages[g].size(); ++i)
        if (i != state_.choice()[g]) all.push_back({g, i, more_bytes(g, i), damages[g][i]});
    result_.evaluations += all.size();
    return all;
  }

  // Pairs that are worth a look, without the products of their two changes.
  std::vector<Pair> all_pairs(const std::vector<Change>& changes) const {
    std::vector<Pair> pairs;
    for (size_t a = 0; a < changes.size(); ++a)
      for (size_t b = a + 1; b < changes.size(); ++b)
        if (changes[a].group != changes[b].group && changes[a].bytes + changes[b].bytes <= left_)
          pairs.push_back({changes[a], changes[b], changes[a].damage + changes[b].damage});
    return pairs;
  }

  // For each change that saves and does not fit: of those that free enough, the ones that cost least.
  std::vector<Pair> promising_pairs(const std::vector<Change>& changes) const {
    std::vector<Change> freeing;
    for (const Change& change : changes)
      if (change.bytes < 0) freeing.push_back(change);
    std::stable_sort(freeing.begin(), freeing.end(), [](const Change& a, const Change& b) { return a.bytes < b.bytes; });
    // cheapest[k]: places of the cheapest among the first k + 1, cheapest first.
    std::vector<std::vector<uint32_t>> cheapest;
    std::vector<uint32_t> now;
    for (uint32_t k = 0; k < freeing.size(); ++k) {
      const auto at =
          std::upper_bound(now.begin(), now.end(), k, [&](uint32_t x, uint32_t y) { return freeing[x].damage < freeing[y].damage; });
      if (at != now.end() || now.size() < options_.partners) now.insert(at, k);
      if (now.size() > options_.partners) now.pop_back();
      cheapest.push_back(now);
    }
    std::vector<Pair> pairs;
    for (const Change& grows : changes) {
      if (grows.bytes <= left_ || grows.damage >= 0) continue;
      const auto end =
          std::partition_point(freeing.begin(), freeing.end(), [&](const Change& one) { return one.bytes + grows.bytes <= left_; });
      if (end == freeing.begin()) continue;
      for (const uint32_t k : cheapest[static_cast<size_t>(end - freeing.begin()) - 1])
        if (freeing[k].group != grows.group) pairs.push_back({grows, freeing[k], grows.damage + freeing[k].damage});
    }
    std::stable_sort(pairs.begin(), pairs.end(), [](const Pair& a, const Pair& b) { return a.damage < b.damage; });
    pairs.resize(std::min(pairs.size(), kPairsOfAGroup * objective_.groups()));
    return pairs;
  }

  double change_by(const Pair& pair) const {
    const Change &a = pair.a, &b = pair.b;
    if (a.group == b.group) return state_.change(a.group, a.item);
    return state_.change(a.group, a.item) + state_.change(b.group, b.item) + state_.cross(a.group, a.item, b.group, b.item);
  }

  // Single changes and pairs, most damage saved first, as long as they still save and fit. True if any was taken.
  bool round() {
    const std::vector<Change> single = changes();
    result_.all_pairs = single.size() * single.size() / 2 <= options_.all_pairs;
    std::vector<Pair> moves = result_.all_pairs ? all_pairs(single) : promising_pairs(single);
    parallel_for(moves.size(), options_.threads,
                 [&](size_t p) { moves[p].damage += state_.cross(moves[p].a.group, moves[p].a.item, moves[p].b.group, moves[p].b.item); });
    result_.evaluations += moves.size();
    for (const Change& change : single)
      if (change.bytes <= left_) moves.push_back({change, change, change.damage});
    std::erase_if(moves, [&](const Pair& move) { return move.damage >= -enough_; });
    std::stable_sort(moves.begin(), moves.end(), [](const Pair& a, const Pair& b) { return a.damage < b.damage; });
    bool any = false;
    for (const Pair& move : moves) {
      const Change &a = move.a, &b = move.b;
      if (a.item == state_.choice()[a.group] || b.item == state_.choice()[b.group]) continue;
      if (more_bytes(a.group, a.item) + (a.group == b.group ? 0 : more_bytes(b.group, b.item)) > left_) continue;
      if (any) {  // else it is as it was evaluated
        ++result_.evaluations;
        if (change_by(move) >= -enough_) continue;
      }
      take(a.group, a.item);
      if (a.group != b.group) take(b.group, b.item);
      any = true;
    }
    return any;
  }

  const InteractionObjective& objective_;
  const std::vector<std::vector<uint64_t>>& bytes_;
  const InteractionOptions& options_;
  InteractionChoice state_;
  std::vector<std::vector<double>> with_own_;  // of each group: its items' products with what it has; empty: not known
  int64_t left_ = 0;                           // bytes
  double enough_ = 0;                          // a change must save more
  InteractionSearch result_;
};

}  // namespace

InteractionSearch search_interactions(const InteractionObjective& objective, const std::vector<std::vector<uint64_t>>& bytes,
                                      uint64_t budget, std::vector<size_t> start, const InteractionOptions& options) {
  return LocalSearch(objective, bytes, budget, std::move(start), options).run();
}

}  // namespace assay
