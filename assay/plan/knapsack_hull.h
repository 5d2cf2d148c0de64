// What of a knapsack can be optimal, and the path that the relaxed optimum takes as the budget grows: single steps along each group's lower
// convex hull of (bytes, damage), best rate first. Sinha and Zoltners, Operations Research 1979. The path's points are the hull of the
// whole size-damage curve: at their sizes nothing is better. Non-goals: what lies between them (knapsack.h).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "assay/plan/knapsack.h"

namespace assay {

// The items of a group that can be optimal: ascending bytes, strictly descending damage.
struct KnapsackCandidates {
  std::vector<KnapsackItem> items;
  std::vector<size_t> original;
  std::vector<size_t> hull;  // the lower convex hull of (bytes, damage), indices into items
};
KnapsackCandidates candidates_of(const KnapsackGroup& group);

// (damage saved) / (bytes paid) from item a to the larger item b.
inline double saving_rate(const KnapsackItem& a, const KnapsackItem& b) {
  return (a.damage - b.damage) / static_cast<double>(b.bytes - a.bytes);
}

// From one point of a group's hull to the next; from, to: places in its candidates.
struct KnapsackStep {
  double rate = 0;
  size_t group = 0, from = 0, to = 0;
};
// All steps in the order in which a growing budget takes them; equal rates in the order of groups. Each group's own come in order.
std::vector<KnapsackStep> hull_steps(std::span<const KnapsackCandidates> groups);

}  // namespace assay
