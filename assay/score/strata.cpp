#include "assay/score/strata.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <unordered_map>

#include "assay/base/sum.h"
#include "assay/score/agreement.h"

namespace assay {
namespace {

// What is left of a variance (of 1) below this is rounding.
constexpr double kNothingLeft = 1e-9;

double count_of(std::span<const uint32_t> counts, size_t item) { return counts.empty() ? 1.0 : static_cast<double>(counts[item]); }

std::vector<double> gathered(std::span<const double> values, std::span<const uint32_t> items) {
  std::vector<double> result;
  result.reserve(items.size());
  for (const uint32_t item : items) result.push_back(values[item]);
  return result;
}

bool all_equal(std::span<const double> values) {
  return std::adjacent_find(values.begin(), values.end(), std::not_equal_to<>()) == values.end();
}

// How surely each is among the k largest: 1 above the border, an equal share for those that tie on it.
std::vector<double> top_shares(std::span<const double> values, size_t k) {
  std::vector<double> sorted(values.begin(), values.end());
  std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(k - 1), sorted.end(), std::greater<>());
  const double border = sorted[k - 1];
  const auto above = static_cast<double>(std::count_if(values.begin(), values.end(), [&](double v) { return v > border; }));
  const auto tied = static_cast<double>(std::count(values.begin(), values.end(), border));
  std::vector<double> shares;
  for (const double value : values) shares.push_back(value > border ? 1 : value == border ? (static_cast<double>(k) - above) / tied : 0);
  return shares;
}

// The mean over strata, weighted by items, of of_stratum(score, truth), which is only asked where both vary; `flat(n)` where the score does
// not.
template <class OfStratum, class Flat>
std::optional<double> mean_over(std::span<const double> score, std::span<const double> truth, const Strata& strata,
                                const OfStratum& of_stratum, const Flat& flat) {
  CompensatedSum sum;
  size_t items = 0;
  for (const auto& members : strata) {
    const auto a = gathered(score, members), b = gathered(truth, members);
    if (all_equal(b)) continue;
    items += members.size();
    sum.add(static_cast<double>(members.size()) * (all_equal(a) ? flat(members.size()) : of_stratum(a, b)));
  }
  if (items == 0) return std::nullopt;
  return sum.value() / static_cast<double>(items);
}

}  // namespace

Strata strata_of(std::span<const std::string> labels) {
  Strata strata;
  std::unordered_map<std::string, size_t> place;
  for (size_t i = 0; i < labels.size(); ++i) {
    const auto [found, is_new] = place.try_emplace(labels[i], strata.size());
    if (is_new) strata.emplace_back();
    strata[found->second].push_back(static_cast<uint32_t>(i));
  }
  return strata;
}

StratifiedOrder::StratifiedOrder(std::span<const double> values, const Strata& strata) {
  order_.reserve(values.size());
  for (const auto& members : strata) {
    const size_t begin = order_.size();
    order_.insert(order_.end(), members.begin(), members.end());
    std::stable_sort(order_.begin() + static_cast<std::ptrdiff_t>(begin), order_.end(),
                     [&](uint32_t i, uint32_t j) { return values[i] < values[j]; });
    for (size_t i = begin; i < order_.size(); ++i)
      if (i + 1 == order_.size() || values[order_[i]] != values[order_[i + 1]]) ties_.push_back(static_cast<uint32_t>(i + 1));
    ends_.push_back(static_cast<uint32_t>(ties_.size()));
  }
}

void StratifiedOrder::standard_ranks(std::span<const uint32_t> counts, std::span<double> ranks) const {
  size_t tie = 0, place = 0;
  for (const uint32_t end : ends_) {
    const size_t first = place;
    double held = 0, square = 0;  // of twice the rank, less 1: counts are whole, so these sums are exact
    for (; tie < end; ++tie) {
      const size_t run_begin = place;
      double run = 0;
      for (; place < ties_[tie]; ++place) run += count_of(counts, order_[place]);
      const double doubled_rank = 2 * held + run;
      for (size_t i = run_begin; i < place; ++i) ranks[order_[i]] = doubled_rank;
      square += run * doubled_rank * doubled_rank;
      held += run;
    }
    // Centre held; the sum of squares about it is sum of squares - held^3.
    const double spread = square - held * held * held;
    const double scale = spread > 0 ? std::sqrt(held / spread) : 0;
    for (size_t i = first; i < place; ++i) ranks[order_[i]] = (ranks[order_[i]] - held) * scale;
  }
}

double dot(std::span<const uint32_t> counts, std::span<const double> a, std::span<const double> b) {
  constexpr size_t kLanes = 4;  // sums side by side: one after the other they would wait for each other
  double sums[kLanes] = {};
  const auto add = [&](size_t lane, size_t i) { sums[lane] += counts.empty() ? a[i] * b[i] : counts[i] * (a[i] * b[i]); };
  const size_t whole = a.size() - a.size() % kLanes;
  for (size_t i = 0; i < whole; i += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane) add(lane, i + lane);
  for (size_t i = whole; i < a.size(); ++i) add(i - whole, i);
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

std::optional<double> mean_spearman(std::span<const uint32_t> counts, std::span<const double> score_ranks,
                                    std::span<const double> truth_ranks) {
  const double items = dot(counts, truth_ranks, truth_ranks);  // each stratum with an answer gives its size
  if (items <= 0) return std::nullopt;
  return std::clamp(dot(counts, score_ranks, truth_ranks) / items, -1.0, 1.0);
}

std::optional<double> partial_spearman(std::span<const uint32_t> counts, std::span<const double> score_ranks,
                                       std::span<const double> truth_ranks, std::span<const double> given_ranks) {
  const double score_square = dot(counts, score_ranks, score_ranks), truth_square = dot(counts, truth_ranks, truth_ranks);
  const double given_square = dot(counts, given_ranks, given_ranks);
  if (score_square <= 0 || truth_square <= 0) return std::nullopt;
  const double both = dot(counts, score_ranks, truth_ranks) / std::sqrt(score_square * truth_square);
  if (given_square <= 0) return std::clamp(both, -1.0, 1.0);
  const double score_given = dot(counts, score_ranks, given_ranks) / std::sqrt(score_square * given_square);
  const double truth_given = dot(counts, truth_ranks, given_ranks) / std::sqrt(truth_square * given_square);
  const double left_of_score = 1 - score_given * score_given, left_of_truth = 1 - truth_given * truth_given;
  if (left_of_score < kNothingLeft || left_of_truth < kNothingLeft) return std::nullopt;
  return std::clamp((both - score_given * truth_given) / std::sqrt(left_of_score * left_of_truth), -1.0, 1.0);
}

std::optional<double> mean_kendall(std::span<const double> score, std::span<const double> truth, const Strata& strata) {
  return mean_over(
      score, truth, strata, [](const auto& a, const auto& b) { return kendall_tau_b(a, b).value_or(0); }, [](size_t) { return 0.0; });
}

std::optional<double> mean_top_overlap(std::span<const double> score, std::span<const double> truth, const Strata& strata, double share) {
  const auto top = [&](size_t items) {
    return std::clamp<size_t>(static_cast<size_t>(std::lround(share * static_cast<double>(items))), 1, items);
  };
  const auto overlap = [&](const std::vector<double>& a, const std::vector<double>& b) {
    const size_t k = top(a.size());
    const auto in_a = top_shares(a, k), in_b = top_shares(b, k);
    return dot({}, in_a, in_b) / static_cast<double>(k);
  };
  const auto chance = [&](size_t items) { return static_cast<double>(top(items)) / static_cast<double>(items); };
  return mean_over(score, truth, strata, overlap, chance);
}

}  // namespace assay
