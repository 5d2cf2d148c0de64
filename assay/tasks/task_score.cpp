#include "assay/tasks/task_score.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "assay/base/random.h"
#include "assay/base/sum.h"
#include "assay/tasks/encode_items.h"

namespace assay {
namespace {

constexpr double kLevel = 0.05, kPower = 0.8;

double length_of(const std::string& option, OptionNorm norm) {
  if (norm == OptionNorm::kNone) return 1;
  return static_cast<double>(norm == OptionNorm::kBytes ? option.size() : characters_of(option));
}

std::vector<double> divided(const TaskItem& item, std::span<const double> values, OptionNorm norm) {
  std::vector<double> out;
  for (size_t i = 0; i < values.size(); ++i) out.push_back(values[i] / length_of(item.continuation(i), norm));
  return out;
}

double margin_of(const std::vector<double>& values, size_t gold) {
  double best = -std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < values.size(); ++i)
    if (i != gold) best = std::max(best, values[i]);
  return values[gold] - best;
}

// Sums of each cluster, drawn together.
class Clusters {
 public:
  Clusters(std::span<const uint32_t> clusters, const BootstrapOptions& options) : clusters_(clusters), options_(options) {
    for (const uint32_t cluster : clusters) count_ = std::max<size_t>(count_, size_t{cluster} + 1);
    sizes_.resize(count_);
    for (const uint32_t cluster : clusters) sizes_[cluster] += 1;
    std::erase(sizes_, 0.0);
    groups_ = sizes_.size();
  }

  size_t groups() const { return groups_; }

  Mean mean(std::span<const double> values) const {
    Mean mean;
    const auto n = static_cast<double>(values.size());
    mean.value = sum(values) / n;
    CompensatedSum squares;
    for (const double value : values) squares.add((value - mean.value) * (value - mean.value));
    if (values.size() > 1) mean.standard_error = std::sqrt(squares.value() / (n - 1) / n);
    std::vector<double> totals(count_), kept;
    std::vector<bool> seen(count_);
    for (size_t i = 0; i < values.size(); ++i) {
      totals[clusters_[i]] += values[i];
      seen[clusters_[i]] = true;
    }
    for (size_t c = 0; c < count_; ++c)
      if (seen[c]) kept.push_back(totals[c]);
    std::vector<double> draws;
    for (uint32_t r = 0; r < options_.resamples && groups_ > 1; ++r) {
      CounterRandom random(options_.seed, r);
      double total = 0, size = 0;
      for (size_t d = 0; d < groups_; ++d) {
        const auto group = static_cast<size_t>(random.next_below(groups_));
        total += kept[group];
        size += sizes_[group];
      }
      draws.push_back(total / size);
    }
    mean.interval = percentile_interval(mean.value, std::move(draws));
    return mean;
  }

 private:
  static double sum(std::span<const double> values) {
    CompensatedSum sum;
    for (const double value : values) sum.add(value);
    return sum.value();
  }
  std::span<const uint32_t> clusters_;
  BootstrapOptions options_;
  size_t count_ = 0, groups_ = 0;
  std::vector<double> sizes_;
};

template <class Item, class Value>
std::vector<double> values_of(std::span<const Item> items, const Value& value) {
  std::vector<double> values;
  for (const Item& item : items) values.push_back(value(item));
  return values;
}

// ln of the binomial probability of k among n.
double log_binomial(uint64_t n, uint64_t k, double log_p, double log_q) {
  const auto real = [](uint64_t x) { return static_cast<double>(x); };
  return std::lgamma(real(n) + 1) - std::lgamma(real(k) + 1) - std::lgamma(real(n - k) + 1) + real(k) * log_p + real(n - k) * log_q;
}

// P(X <= k) of n draws.
double lower_tail(uint64_t n, uint64_t k, double p) {
  const double log_p = std::log(p), log_q = std::log1p(-p);
  double total = 0;
  for (uint64_t i = 0; i <= k; ++i) total += std::exp(log_binomial(n, i, log_p, log_q));
  return std::min(total, 1.0);
}

}  // namespace

std::string_view name_of(OptionNorm norm) {
  constexpr std::string_view kNames[] = {"acc", "acc_norm", "acc_bytes"};
  return kNames[static_cast<size_t>(norm)];
}

ItemScore score_item(const TaskItem& item, std::span<const double> log_likelihoods) {
  ItemScore score;
  for (const OptionNorm norm : kOptionNorms) {
    const std::vector<double> values = divided(item, log_likelihoods, norm);
    const auto at = static_cast<size_t>(norm);
    score.choice[at] = static_cast<size_t>(std::max_element(values.begin(), values.end()) - values.begin());
    score.right[at] = score.choice[at] == item.gold;
    if (norm == OptionNorm::kNone) score.margin = margin_of(values, item.gold);
    if (norm == OptionNorm::kBytes) score.margin_per_byte = margin_of(values, item.gold);
  }
  return score;
}

TaskScore summarize(std::span<const ItemScore> scores, std::span<const uint32_t> clusters, const BootstrapOptions& options) {
  const Clusters drawn(clusters, options);
  TaskScore task;
  task.items = scores.size();
  task.clusters = drawn.groups();
  for (size_t n = 0; n < std::size(kOptionNorms); ++n)
    task.accuracy[n] = drawn.mean(values_of(scores, [n](const ItemScore& item) { return item.right[n] ? 1.0 : 0.0; }));
  task.margin = drawn.mean(values_of(scores, [](const ItemScore& item) { return item.margin; }));
  task.margin_per_byte = drawn.mean(values_of(scores, [](const ItemScore& item) { return item.margin_per_byte; }));
  return task;
}

McNemar mcnemar(uint64_t only_base, uint64_t only_model) {
  McNemar test{only_base, only_model, 1};
  const uint64_t n = test.discordant();
  if (n > 0) test.p = std::min(1.0, 2 * lower_tail(n, std::min(only_base, only_model), 0.5));
  return test;
}

double mcnemar_power(uint64_t discordant, double share) {
  // The test rejects at k or fewer on either side, k the largest count with 2 P(X <= k) <= level.
  const double log_half = std::log(0.5);
  double null_tail = 0;
  uint64_t rejected = 0;  // counts 0 .. rejected - 1
  for (; rejected <= discordant; ++rejected) {
    null_tail += std::exp(log_binomial(discordant, rejected, log_half, log_half));
    if (2 * null_tail > kLevel) break;
  }
  if (rejected == 0) return 0;
  if (share >= 1) return 1;
  return lower_tail(discordant, rejected - 1, 1 - share) + lower_tail(discordant, rejected - 1, share);
}

std::optional<double> detectable_change(uint64_t items, uint64_t discordant) {
  if (items == 0 || mcnemar_power(discordant, 1) < kPower) return std::nullopt;
  double low = 0.5, high = 1;
  for (int i = 0; i < 50; ++i) {
    const double middle = (low + high) / 2;
    (mcnemar_power(discordant, middle) < kPower ? low : high) = middle;
  }
  return (2 * high - 1) * static_cast<double>(discordant) / static_cast<double>(items);
}

TaskComparison compare(std::span<const ItemScore> base, std::span<const ItemScore> model, std::span<const uint32_t> clusters,
                       const BootstrapOptions& options) {
  const Clusters drawn(clusters, options);
  TaskComparison comparison;
  comparison.items = base.size();
  comparison.clusters = drawn.groups();
  const auto change = [&](const auto& value) {
    std::vector<double> changes;
    for (size_t i = 0; i < base.size(); ++i) changes.push_back(value(model[i]) - value(base[i]));
    return drawn.mean(changes);
  };
  for (size_t n = 0; n < std::size(kOptionNorms); ++n) {
    comparison.accuracy_change[n] = change([n](const ItemScore& item) { return item.right[n] ? 1.0 : 0.0; });
    uint64_t only_base = 0, only_model = 0, changed = 0;
    for (size_t i = 0; i < base.size(); ++i) {
      only_base += base[i].right[n] && !model[i].right[n];
      only_model += !base[i].right[n] && model[i].right[n];
      changed += base[i].choice[n] != model[i].choice[n];
    }
    comparison.test[n] = mcnemar(only_base, only_model);
    comparison.detectable[n] = detectable_change(base.size(), only_base + only_model);
    comparison.changed[n] = static_cast<double>(changed) / static_cast<double>(base.size());
  }
  comparison.margin_change = change([](const ItemScore& item) { return item.margin; });
  comparison.margin_per_byte_change = change([](const ItemScore& item) { return item.margin_per_byte; });
  return comparison;
}

}  // namespace assay
