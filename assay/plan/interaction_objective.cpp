#include "assay/plan/interaction_objective.h"

#include <algorithm>
#include <cstring>

#include "assay/base/lanes.h"
#include "assay/base/parallel.h"
#include "assay/base/sum.h"

namespace assay {
namespace {

#pragma GCC diagnostic ignored "-Wpsabi"  // no vector crosses a call; templates are made at the end of the file

using Float8 = float __attribute__((vector_size(32)));
using Double8 = double __attribute__((vector_size(64)));

ASSAY_INLINE Double8 load8(const float* at) {
  Float8 value;
  std::memcpy(&value, at, sizeof value);
  return __builtin_convertvector(value, Double8);
}
ASSAY_INLINE Double8 load8(const double* at) {
  Double8 value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// Four sums of eight lanes, added in pairs.
template <class B>
ASSAY_INLINE double dot_of(const float* a, const B* b, size_t count) {
  Double8 sums[4] = {};
  size_t i = 0;
  for (; i + 32 <= count; i += 32)
    for (size_t k = 0; k < 4; ++k) sums[k] += load8(a + i + 8 * k) * load8(b + i + 8 * k);
  for (; i + 8 <= count; i += 8) sums[0] += load8(a + i) * load8(b + i);
  const Double8 all = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  double total = ((all[0] + all[4]) + (all[1] + all[5])) + ((all[2] + all[6]) + (all[3] + all[7]));
  for (; i < count; ++i) total += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return total;
}

ASSAY_CLONES double dot_floats(const float* a, const float* b, size_t count) { return dot_of(a, b, count); }
ASSAY_CLONES double dot_doubles(const float* a, const double* b, size_t count) { return dot_of(a, b, count); }

// sum += factor * values
ASSAY_CLONES void add_scaled(double* sum, const float* values, double factor, size_t count) {
  for (size_t t = 0; t < count; ++t) sum[t] += factor * static_cast<double>(values[t]);
}
void add_terms(std::vector<double>& sum, std::span<const float> values, double factor) {
  add_scaled(sum.data(), values.data(), factor, values.size());
}

double square_of(const std::vector<double>& values) {
  CompensatedSum sum;
  for (const double value : values) sum.add(value * value);
  return sum.value();
}

}  // namespace

double dot(std::span<const float> a, std::span<const float> b) { return dot_floats(a.data(), b.data(), a.size()); }
double dot(std::span<const float> a, std::span<const double> b) { return dot_doubles(a.data(), b.data(), a.size()); }

void InteractionObjective::add_group(size_t items) {
  first_.push_back(own_.size());
  own_.resize(own_.size() + items);
  square_.resize(own_.size());
  values_.resize(own_.size() * terms_);
}

void InteractionObjective::add_member(size_t item, double damage, std::span<const float> terms) {
  const size_t at = first_.back() + item;
  own_[at] += damage - 0.5 * dot(terms, terms);
  float* const values = values_.data() + at * terms_;
  for (size_t t = 0; t < terms.size(); ++t) values[t] += terms[t];
  const auto all = terms_of(groups() - 1, item);
  square_[at] = dot(all, all);
}

void InteractionObjective::add_fixed(double damage, std::span<const float> terms) {
  fixed_own_ += damage - 0.5 * dot(terms, terms);
  fixed_sum_.resize(terms_);
  add_terms(fixed_sum_, terms, 1);
}

std::span<const float> InteractionObjective::terms_of(size_t group, size_t item) const {
  return std::span(values_).subspan((first_[group] + item) * terms_, terms_);
}

std::vector<double> InteractionObjective::sum(std::span<const size_t> choice) const {
  std::vector<double> sum = fixed_sum_;
  sum.resize(terms_);
  for (size_t g = 0; g < choice.size(); ++g) add_terms(sum, terms_of(g, choice[g]), 1);
  return sum;
}

std::vector<double> InteractionObjective::products(std::span<const double> with, int threads) const {
  std::vector<double> result(own_.size());
  parallel_for(groups(), threads, [&](size_t g) {
    for (size_t i = 0; i < items(g); ++i) result[first_[g] + i] = dot(terms_of(g, i), with);
  });
  return result;
}

double InteractionObjective::own(std::span<const size_t> choice) const {
  CompensatedSum total;
  total.add(fixed_own_);
  for (size_t g = 0; g < choice.size(); ++g) total.add(own(g, choice[g]));
  return total.value();
}

double InteractionObjective::damage(std::span<const size_t> choice) const { return own(choice) + 0.5 * square_of(sum(choice)); }

double InteractionObjective::separable(std::span<const size_t> choice) const {
  CompensatedSum total;
  total.add(fixed_own_ + 0.5 * square_of(fixed_sum_));
  for (size_t g = 0; g < choice.size(); ++g) total.add(alone(g, choice[g]));
  return total.value();
}

InteractionChoice::InteractionChoice(const InteractionObjective& objective, std::vector<size_t> choice)
    : objective_(&objective), choice_(std::move(choice)), sum_(objective.sum(choice_)) {}

std::vector<double> InteractionChoice::products_with_own(size_t group) const {
  std::vector<double> products;
  for (size_t i = 0; i < objective_->items(group); ++i)
    products.push_back(dot(objective_->terms_of(group, i), objective_->terms_of(group, choice_[group])));
  return products;
}

void InteractionChoice::changes(size_t group, std::span<const double> with_own, std::span<double> out) const {
  const size_t now = choice_[group];
  const double rest = dot(objective_->terms_of(group, now), sum_) - objective_->square(group, now);  // its product with all others
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = i == now ? 0
                      : objective_->alone(group, i) - objective_->alone(group, now) + dot(objective_->terms_of(group, i), sum_) -
                            with_own[i] - rest;
}

double InteractionChoice::change(size_t group, size_t item) const {
  const size_t now = choice_[group];
  if (item == now) return 0;
  const auto terms = objective_->terms_of(group, now), other = objective_->terms_of(group, item);
  const double rest = dot(terms, sum_) - objective_->square(group, now);
  return objective_->alone(group, item) - objective_->alone(group, now) + dot(other, sum_) - dot(other, terms) - rest;
}

double InteractionChoice::cross(size_t group_a, size_t item_a, size_t group_b, size_t item_b) const {
  const auto a = objective_->terms_of(group_a, item_a), a_now = objective_->terms_of(group_a, choice_[group_a]);
  const auto b = objective_->terms_of(group_b, item_b), b_now = objective_->terms_of(group_b, choice_[group_b]);
  return (dot(a, b) - dot(a, b_now)) - (dot(a_now, b) - dot(a_now, b_now));
}

void InteractionChoice::move(size_t group, size_t item) {
  add_terms(sum_, objective_->terms_of(group, choice_[group]), -1);
  add_terms(sum_, objective_->terms_of(group, item), 1);
  choice_[group] = item;
}

}  // namespace assay
