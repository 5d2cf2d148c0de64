// The damage of a choice of types with interactions between groups: D(x) = sum_i d_i(x_i) + sum_{i<j} t_i(x_i) . t_j(x_j), with t the
// first-order terms of random draws at the same places for every group (score/curvature.h). With s = sum_i t_i and own = d - 1/2 |t|^2 it
// is sum_i own_i + 1/2 |s|^2: a change of one group costs a product or two of one group's terms. Terms are float, products double in a
// fixed order: the same bits on every CPU. Torch-free. Non-goals: choosing (solve_interactions.h).
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace assay {

// Sum of products, in double. `b` is as long as `a` at least.
double dot(std::span<const float> a, std::span<const float> b);
double dot(std::span<const float> a, std::span<const double> b);

class InteractionObjective {
 public:
  // `terms`: of every item. They are kept one after another: groups x items x terms floats.
  explicit InteractionObjective(size_t terms) : terms_(terms) {}
  // A group of members that take one type together: the damage of a member alone and its terms.
  void add_group(size_t items);
  // Another member of the last group at an item: damages and products add up. Empty terms: zeros.
  void add_member(size_t item, double damage, std::span<const float> terms);
  // What is decided already and acts on all choices.
  void add_fixed(double damage, std::span<const float> terms);

  size_t groups() const { return first_.size(); }
  size_t items(size_t group) const { return (group + 1 < first_.size() ? first_[group + 1] : own_.size()) - first_[group]; }
  size_t terms() const { return terms_; }
  std::span<const float> terms_of(size_t group, size_t item) const;
  double own(size_t group, size_t item) const { return own_[first_[group] + item]; }        // damage alone - 1/2 |terms|^2
  double square(size_t group, size_t item) const { return square_[first_[group] + item]; }  // |terms|^2
  double alone(size_t group, size_t item) const { return own(group, item) + 0.5 * square(group, item); }

  const std::vector<double>& fixed_sum() const { return fixed_sum_; }  // terms of what is decided; empty: zeros
  double fixed_own() const { return fixed_own_; }
  // Sums of the terms of a choice, what is fixed too.
  std::vector<double> sum(std::span<const size_t> choice) const;
  double own(std::span<const size_t> choice) const;
  // The terms of every item of every group times `with`, one after another. The same whatever `threads` (0: all).
  std::vector<double> products(std::span<const double> with, int threads = 0) const;
  double damage(std::span<const size_t> choice) const;     // with interactions
  double separable(std::span<const size_t> choice) const;  // without those between groups; what is fixed counts as one group

 private:
  size_t terms_;
  std::vector<size_t> first_;  // item of each group
  std::vector<double> own_, square_;
  std::vector<float> values_;  // [items, terms]
  std::vector<double> fixed_sum_;
  double fixed_own_ = 0;
};

// A choice and the sum of its terms, changed one group at a time.
class InteractionChoice {
 public:
  InteractionChoice(const InteractionObjective& objective, std::vector<size_t> choice);
  const std::vector<size_t>& choice() const { return choice_; }
  const std::vector<double>& sum() const { return sum_; }
  // Damage more if `group` took `item`: exact, one product with the sum and one with the item it has.
  double change(size_t group, size_t item) const;
  // Of all its items. `with_own`: their products with the terms of what it has.
  std::vector<double> products_with_own(size_t group) const;
  void changes(size_t group, std::span<const double> with_own, std::span<double> out) const;
  // The products of two groups' changes, which their two changes leave out.
  double cross(size_t group_a, size_t item_a, size_t group_b, size_t item_b) const;
  void move(size_t group, size_t item);

 private:
  const InteractionObjective* objective_;
  std::vector<size_t> choice_;
  std::vector<double> sum_;
};

}  // namespace assay
