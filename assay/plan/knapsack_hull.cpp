#include "assay/plan/knapsack_hull.h"

#include <algorithm>
#include <numeric>

namespace assay {

KnapsackCandidates candidates_of(const KnapsackGroup& group) {
  std::vector<size_t> order(group.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return group[a].bytes != group[b].bytes ? group[a].bytes < group[b].bytes : group[a].damage < group[b].damage;
  });
  KnapsackCandidates result;
  for (const size_t i : order) {
    if (!result.items.empty() && group[i].damage >= result.items.back().damage) continue;
    result.items.push_back(group[i]);
    result.original.push_back(i);
  }
  for (size_t i = 0; i < result.items.size(); ++i) {
    auto& hull = result.hull;
    while (hull.size() >= 2 && saving_rate(result.items[hull[hull.size() - 2]], result.items[hull.back()]) <=
                                   saving_rate(result.items[hull.back()], result.items[i]))
      hull.pop_back();
    hull.push_back(i);
  }
  return result;
}

std::vector<KnapsackStep> hull_steps(std::span<const KnapsackCandidates> groups) {
  std::vector<KnapsackStep> steps;
  for (size_t g = 0; g < groups.size(); ++g) {
    const KnapsackCandidates& group = groups[g];
    for (size_t i = 0; i + 1 < group.hull.size(); ++i)
      steps.push_back({saving_rate(group.items[group.hull[i]], group.items[group.hull[i + 1]]), g, group.hull[i], group.hull[i + 1]});
  }
  std::stable_sort(steps.begin(), steps.end(), [](const KnapsackStep& a, const KnapsackStep& b) { return a.rate > b.rate; });
  return steps;
}

}  // namespace assay
