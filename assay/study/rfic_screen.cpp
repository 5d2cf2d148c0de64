#include "assay/study/rfic_screen.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>
#include <set>

#include "assay/base/parallel.h"
#include "assay/base/text.h"
#include "assay/score/median.h"

namespace assay {
namespace {

constexpr double kEta = 1e-8, kLargest = 0.25, kDead = 0.05;

struct Activity {
  std::vector<double> mean;  // of |x|
  double median = 0;         // torch's: the lower of the two in the middle
  std::vector<bool> dead;
};

Activity activity_of(const RficMatrix& matrix) {
  Activity all;
  all.mean.assign(matrix.columns, 0);
  for (uint64_t t = 0; t < matrix.tokens(); ++t)
    for (uint64_t j = 0; j < matrix.columns; ++j) all.mean[j] += std::fabs(static_cast<double>(matrix.inputs[t * matrix.columns + j]));
  for (double& mean : all.mean) mean /= static_cast<double>(matrix.tokens());
  std::vector<uint64_t> order(matrix.columns);
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, {}, [&](uint64_t j) { return all.mean[j]; });
  all.median = all.mean[order[(matrix.columns - 1) / 2]];
  all.dead.assign(matrix.columns, false);
  const auto dead = static_cast<size_t>(std::ceil(kDead * static_cast<double>(matrix.columns)));
  for (size_t i = 0; i < dead; ++i) all.dead[order[i]] = true;
  return all;
}

class Group {
 public:
  Group(const RficMatrix& matrix, const GroupGrid& grid, const Activity& activity, uint64_t number)
      : matrix_(matrix), grid_(grid), activity_(activity), number_(number), begin_(number * grid.group) {
    width_ = std::min<uint64_t>(grid.group, matrix.columns - begin_);
  }

  // The group's block of X^T X / tokens, and errors under it.
  void measure() {
    moments_.assign(width_ * width_, 0);
    for (uint64_t t = 0; t < matrix_.tokens(); ++t) {
      const float* x = matrix_.inputs.data() + t * matrix_.columns + begin_;
      for (uint64_t i = 0; i < width_; ++i)
        for (uint64_t j = 0; j < width_; ++j) moments_[i * width_ + j] += static_cast<double>(x[i]) * static_cast<double>(x[j]);
    }
    for (double& value : moments_) value /= static_cast<double>(matrix_.tokens());
    std::vector<double> row(width_);
    for (uint64_t r = 0; r < matrix_.rows(); ++r) {
      for (uint64_t j = 0; j < width_; ++j) row[j] = static_cast<double>(weight(r, j));
      output_ += quadratic(row);
      error_ += rounding_error(r, width_);
    }
  }

  // The rule's weight as row * width + column in the group.
  std::optional<uint64_t> choose(RficRule rule) const {
    if (rule == RficRule::kA) return choose_a();
    std::optional<uint64_t> best;
    for (uint64_t i = 0; i < matrix_.rows() * width_; ++i) {
      const uint64_t column = begin_ + i % width_;
      if (rule == RficRule::kB && !activity_.dead[column]) continue;
      if (rule == RficRule::kC && activity_.mean[column] >= activity_.median) continue;
      if (!best || magnitude(i) > magnitude(*best)) best = i;
    }
    return best;
  }

  RficCandidate candidate(RficRule rule, uint64_t at) const {
    const uint64_t row = at / width_, column = at % width_;
    RficCandidate one;
    one.rule = rule;
    one.group = number_;
    one.row = row;
    one.column = begin_ + column;
    one.weight = static_cast<double>(weight(row, column));
    const double scale = output_ + kEta;
    one.empty = error_ / scale;
    one.benefit = (rounding_error(row, width_) - rounding_error(row, column)) / scale;
    one.harm = one.weight * one.weight * moments_[column * width_ + column] / scale;
    one.score = one.benefit / (one.harm + kEta);
    return one;
  }

 private:
  float weight(uint64_t row, uint64_t column) const { return matrix_.weights[row * matrix_.columns + begin_ + column]; }
  float magnitude(uint64_t i) const { return std::fabs(weight(i / width_, i % width_)); }

  double quadratic(const std::vector<double>& e) const {
    double sum = 0;
    for (uint64_t i = 0; i < width_; ++i) {
      double inner = 0;
      for (uint64_t j = 0; j < width_; ++j) inner += moments_[i * width_ + j] * e[j];
      sum += e[i] * inner;
    }
    return sum;
  }

  // Of a row's group, with the weight in column `zeroed` set to 0 first (width_: none), against the weights as they were.
  double rounding_error(uint64_t row, uint64_t zeroed) const {
    std::vector<float> rounded(width_);
    for (uint64_t j = 0; j < width_; ++j) rounded[j] = j == zeroed ? 0 : weight(row, j);
    round_to_grid(rounded, grid_);
    std::vector<double> e(width_);
    for (uint64_t j = 0; j < width_; ++j) e[j] = static_cast<double>(rounded[j]) - static_cast<double>(weight(row, j));
    return quadratic(e);
  }

  std::optional<uint64_t> choose_a() const {
    std::vector<uint64_t> order(matrix_.rows() * width_);
    std::iota(order.begin(), order.end(), 0);
    const auto count = static_cast<ptrdiff_t>(std::ceil(kLargest * static_cast<double>(order.size())));
    const auto larger = [&](uint64_t a, uint64_t b) { return magnitude(a) != magnitude(b) ? magnitude(a) > magnitude(b) : a < b; };
    std::nth_element(order.begin(), order.begin() + count - 1, order.end(), larger);
    const auto felt = [&](uint64_t i) { return static_cast<double>(magnitude(i)) * activity_.mean[begin_ + i % width_]; };
    return *std::min_element(order.begin(), order.begin() + count,
                             [&](uint64_t a, uint64_t b) { return felt(a) != felt(b) ? felt(a) < felt(b) : a < b; });
  }

  const RficMatrix& matrix_;
  const GroupGrid& grid_;
  const Activity& activity_;
  uint64_t number_, begin_, width_ = 0;
  std::vector<double> moments_;
  double output_ = 0, error_ = 0;
};

using Key = std::pair<std::string, RficRule>;
Key key_of(const RficCandidate& one) { return {one.tensor, one.rule}; }

bool has(std::span<const RficRule> rules, RficRule rule) { return std::ranges::count(rules, rule) > 0; }

// Best score first; of equal ones the first.
void by_score(std::span<const RficCandidate> candidates, std::vector<size_t>& positions) {
  std::ranges::stable_sort(positions, [&](size_t a, size_t b) { return candidates[a].score > candidates[b].score; });
}

}  // namespace

std::string_view name_of(RficRule rule) {
  constexpr std::string_view kNames[] = {"v0", "A", "B", "C"};
  return kNames[static_cast<size_t>(rule)];
}

Result<std::vector<RficRule>> parse_rfic_rules(std::string_view text) {
  std::vector<RficRule> rules;
  for (std::string_view rest = text; !rest.empty();) {
    if (rest[0] == ',' && !rules.empty() && rest.size() > 1) {
      rest.remove_prefix(1);
      continue;
    }
    const auto found = std::ranges::find_if(kRficRules, [&](RficRule rule) { return rest.starts_with(name_of(rule)); });
    if (found == std::end(kRficRules) || has(rules, *found))
      return fail(ErrorCode::kUsage, {"rules '" + printable(text) + "'", "are not a list of rules", "v0, A, B, C, each once: B,C", ""});
    rules.push_back(*found);
    rest.remove_prefix(name_of(*found).size());
  }
  if (rules.empty()) return fail(ErrorCode::kUsage, "rules: none given; v0, A, B, C");
  return rules;
}

std::vector<RficCandidate> screen(const RficMatrix& matrix, const GroupGrid& grid, std::span<const RficRule> rules, int threads) {
  const Activity activity = activity_of(matrix);
  const uint64_t groups = (matrix.columns + grid.group - 1) / grid.group;
  std::vector<std::vector<RficCandidate>> by_group(groups);
  parallel_for(groups, threads, [&](size_t g) {
    Group group(matrix, grid, activity, g);
    group.measure();
    for (const RficRule rule : rules)
      if (const auto at = group.choose(rule)) by_group[g].push_back(group.candidate(rule, *at));
  });
  std::vector<RficCandidate> all;
  for (const RficRule rule : rules)
    for (const std::vector<RficCandidate>& some : by_group)
      std::ranges::copy_if(some, std::back_inserter(all), [&](const RficCandidate& one) { return one.rule == rule; });
  return all;
}

std::vector<size_t> pareto_front(std::span<const RficCandidate> candidates) {
  std::vector<size_t> order(candidates.size()), front;
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](size_t a, size_t b) {
    return candidates[a].harm != candidates[b].harm ? candidates[a].harm < candidates[b].harm
                                                    : candidates[a].benefit > candidates[b].benefit;
  });
  for (const size_t i : order)
    if (front.empty() || candidates[i].benefit > candidates[front.back()].benefit) front.push_back(i);
  return front;
}

std::vector<RficSummary> summarize(std::span<const RficCandidate> candidates) {
  std::vector<RficSummary> all;
  std::map<Key, std::vector<double>> harms;
  for (const RficCandidate& one : candidates) harms[key_of(one)].push_back(one.harm);
  for (const RficCandidate& one : candidates) {
    auto at = std::ranges::find_if(all, [&](const RficSummary& row) { return row.tensor == one.tensor && row.rule == one.rule; });
    if (at == all.end()) {
      all.push_back({one.tensor, one.layer, one.rule, 0, 0, 0, median(harms.at(key_of(one))), one.benefit, one.score});
      at = all.end() - 1;
    }
    ++at->candidates;
    at->positive += one.benefit > 0 ? 1 : 0;
    at->gated += one.benefit > 0 && one.harm < at->median_harm ? 1 : 0;
    at->best_benefit = std::max(at->best_benefit, one.benefit);
    at->best_score = std::max(at->best_score, one.score);
  }
  return all;
}

std::vector<size_t> select_for_check(std::span<const RficCandidate> candidates, std::span<const RficRule> rules, size_t top) {
  std::map<Key, double> medians;
  for (const RficSummary& row : summarize(candidates)) medians[{row.tensor, row.rule}] = row.median_harm;
  std::vector<size_t> kept, chosen;
  for (size_t i = 0; i < candidates.size(); ++i)
    if (has(rules, candidates[i].rule) && candidates[i].benefit > 0 && candidates[i].harm < medians.at(key_of(candidates[i])))
      kept.push_back(i);
  by_score(candidates, kept);
  std::map<std::string, size_t> of_matrix;
  std::set<std::tuple<std::string, uint64_t, uint64_t>> seen;
  for (const size_t i : kept) {
    if (of_matrix[candidates[i].tensor] >= top || !seen.insert({candidates[i].tensor, candidates[i].row, candidates[i].column}).second)
      continue;
    ++of_matrix[candidates[i].tensor];
    chosen.push_back(i);
  }
  return chosen;
}

std::vector<size_t> select_for_gate(std::span<const RficCandidate> candidates, std::span<const RficRule> rules, size_t top) {
  std::vector<size_t> kept, chosen;
  for (size_t i = 0; i < candidates.size(); ++i)
    if (has(rules, candidates[i].rule) && candidates[i].benefit > 0) kept.push_back(i);
  by_score(candidates, kept);
  std::map<Key, size_t> taken;
  for (const size_t i : kept)
    if (taken[key_of(candidates[i])]++ < top) chosen.push_back(i);
  return chosen;
}

}  // namespace assay
