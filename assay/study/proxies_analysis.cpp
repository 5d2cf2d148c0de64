#include "assay/study/proxies_analysis.h"

#include <algorithm>
#include <numeric>

#include "assay/base/random.h"
#include "assay/base/sum.h"
#include "assay/score/agreement.h"
#include "assay/score/score_verdict.h"

namespace assay {
namespace {

constexpr double kLevel = 0.05;
constexpr uint32_t kSplits = 40;
constexpr size_t kFewestVariants = 6;
constexpr uint64_t kVariantStream = uint64_t{1} << 40, kSplitStream = uint64_t{1} << 41;

using Counts = std::vector<uint32_t>;  // how often each item is in a sample
using Pair = std::pair<double, double>;

// Clusters of each task.
std::vector<std::vector<uint32_t>> clusters_by_task(const ItemLayout& layout) {
  std::vector<std::vector<uint32_t>> clusters;
  std::vector<bool> seen;
  for (size_t i = 0; i < layout.task.size(); ++i) {
    if (layout.task[i] >= clusters.size()) clusters.resize(layout.task[i] + size_t{1});
    if (layout.cluster[i] >= seen.size()) seen.resize(layout.cluster[i] + size_t{1});
    if (!seen[layout.cluster[i]]) clusters[layout.task[i]].push_back(layout.cluster[i]);
    seen[layout.cluster[i]] = true;
  }
  return clusters;
}

Counts items_of(const ItemLayout& layout, const std::vector<uint32_t>& by_cluster) {
  Counts counts;
  for (const uint32_t cluster : layout.cluster) counts.push_back(by_cluster[cluster]);
  return counts;
}

double weighted_mean(std::span<const double> values, const Counts& counts) {
  double sum = 0, size = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    sum += counts[i] * values[i];
    size += counts[i];
  }
  return size > 0 ? sum / size : 0;
}

class Analysis {
 public:
  Analysis(ProxiesResult& result, std::span<const ItemDamage> damage, const ItemLayout& layout, const ProxiesOptions& options)
      : result_(result), damage_(damage), layout_(layout), options_(options), clusters_(clusters_by_task(layout)) {
    for (const auto& task : clusters_)
      for (const uint32_t cluster : task) all_clusters_ = std::max<size_t>(all_clusters_, size_t{cluster} + 1);
  }

  void run() {
    means_of_items();
    for (size_t g = 0; g < kVariantGroups; ++g) {
      const auto group = static_cast<VariantGroupKind>(g);
      const std::vector<size_t> members = members_of(group);
      if (members.size() < kFewestVariants) continue;
      const std::vector<std::vector<size_t>> drawn = draw_variants(members);
      for (size_t o = 0; o < kTaskOutcomes; ++o) claim(static_cast<TaskOutcome>(o), group, members, drawn);
    }
    for (const ProxyClaim& claim : result_.claims)
      if (claim.group == VariantGroupKind::kAll && claim.outcome == TaskOutcome::kMargin) result_.verdict = claim.verdict;
  }

 private:
  // Outcomes on the items themselves, in every resample of them, and on both halves of every split.
  void means_of_items() {
    const Counts once(layout_.task.size(), 1);
    draws_.resize(kTaskOutcomes);
    for (uint32_t r = 0; r < options_.resamples; ++r) samples_.push_back(resample(r));
    for (uint32_t s = 0; s < kSplits; ++s) halves_.push_back(split(s));
    for (size_t o = 0; o < kTaskOutcomes; ++o) {
      for (const Counts& counts : samples_) draws_[o].push_back(means(o, counts));
      for (size_t v = 0; v < damage_.size(); ++v) {
        std::vector<double> draws;
        for (const auto& draw : draws_[o]) draws.push_back(draw[v]);
        const double value = weighted_mean(damage_[v].values[o], once);
        result_.variants[v].outcomes[o] = value;
        result_.variants[v].intervals[o] = percentile_interval(value, std::move(draws));
      }
    }
  }

  std::vector<double> means(size_t outcome, const Counts& counts) const {
    std::vector<double> means;
    for (const ItemDamage& one : damage_) means.push_back(weighted_mean(one.values[outcome], counts));
    return means;
  }

  Counts resample(uint32_t number) const {
    CounterRandom random(options_.seed, number);
    std::vector<uint32_t> by_cluster(all_clusters_);
    for (const auto& task : clusters_)
      for (size_t i = 0; i < task.size(); ++i) ++by_cluster[task[random.next_below(task.size())]];
    return items_of(layout_, by_cluster);
  }

  std::pair<Counts, Counts> split(uint32_t number) const {
    CounterRandom random(options_.seed, kSplitStream + number);
    std::vector<uint32_t> first(all_clusters_), second(all_clusters_, 1);
    for (std::vector<uint32_t> task : clusters_) {
      draw_to_front(random, task.size() / 2, task);
      for (size_t i = 0; i < task.size() / 2; ++i) {
        first[task[i]] = 1;
        second[task[i]] = 0;
      }
    }
    return {items_of(layout_, first), items_of(layout_, second)};
  }

  std::vector<size_t> members_of(VariantGroupKind group) const {
    const auto kl = [&](const ProxyVariant& variant) { return variant.proxies[static_cast<size_t>(Proxy::kKl)]; };
    std::vector<double> sorted;
    for (const ProxyVariant& variant : result_.variants) sorted.push_back(kl(variant));
    std::sort(sorted.begin(), sorted.end());
    std::vector<size_t> members;
    for (size_t v = 0; v < result_.variants.size(); ++v) {
      const ProxyVariant& variant = result_.variants[v];
      const bool is_in = group == VariantGroupKind::kAll || (group == VariantGroupKind::kRecipes && variant.recipe) ||
                         (group == VariantGroupKind::kInterventions && !variant.recipe) ||
                         (group == VariantGroupKind::kMild && kl(variant) <= sorted[(sorted.size() - 1) / 2]);
      if (is_in) members.push_back(v);
    }
    return members;
  }

  std::vector<std::vector<size_t>> draw_variants(const std::vector<size_t>& members) const {
    std::vector<std::vector<size_t>> drawn;
    for (uint32_t r = 0; r < options_.resamples; ++r) {
      CounterRandom random(options_.seed, kVariantStream + r);
      drawn.emplace_back();
      for (size_t i = 0; i < members.size(); ++i) drawn.back().push_back(members[random.next_below(members.size())]);
    }
    return drawn;
  }

  std::vector<double> proxies_of(size_t proxy, const std::vector<size_t>& members) const {
    std::vector<double> values;
    for (const size_t v : members) values.push_back(result_.variants[v].proxies[proxy]);
    return values;
  }
  static std::vector<double> pick(const std::vector<double>& values, const std::vector<size_t>& members) {
    std::vector<double> picked;
    for (const size_t v : members) picked.push_back(values[v]);
    return picked;
  }

  using Statistic = std::optional<double> (*)(std::span<const double>, std::span<const double>);

  // Sorted draws; those without an answer are left out.
  std::vector<double> over_items(Statistic statistic, size_t proxy, size_t outcome, const std::vector<size_t>& members) const {
    const std::vector<double> x = proxies_of(proxy, members);
    std::vector<double> draws;
    for (const auto& means : draws_[outcome])
      if (const auto value = statistic(x, pick(means, members))) draws.push_back(*value);
    std::sort(draws.begin(), draws.end());
    return draws;
  }
  std::vector<double> over_variants(Statistic statistic, size_t proxy, size_t outcome,
                                    const std::vector<std::vector<size_t>>& drawn) const {
    std::vector<double> draws;
    for (const std::vector<size_t>& members : drawn)
      if (const auto value = statistic(proxies_of(proxy, members), outcomes_of(outcome, members))) draws.push_back(*value);
    std::sort(draws.begin(), draws.end());
    return draws;
  }
  std::vector<double> outcomes_of(size_t outcome, const std::vector<size_t>& members) const {
    std::vector<double> values;
    for (const size_t v : members) values.push_back(result_.variants[v].outcomes[outcome]);
    return values;
  }

  // Of sorted draws; empty where fewer than half had an answer.
  std::optional<Pair> interval(const std::vector<double>& draws, double level) const {
    if (draws.size() < options_.resamples / 2) return std::nullopt;
    const auto at = [&](double f) { return draws[static_cast<size_t>(f * static_cast<double>(draws.size() - 1) + 0.5)]; };
    return Pair(at(level / 2), at(1 - level / 2));
  }

  ProxyCorrelation correlate(Proxy proxy, TaskOutcome outcome, VariantGroupKind group, const std::vector<size_t>& members,
                             const std::vector<std::vector<size_t>>& drawn) const {
    const auto p = static_cast<size_t>(proxy), o = static_cast<size_t>(outcome);
    ProxyCorrelation one{proxy, outcome, group, {}, {}, {}};
    const std::vector<double> x = proxies_of(p, members), y = outcomes_of(o, members);
    if (const auto rho = spearman(x, y)) {
      const std::vector<double> items = over_items(spearman, p, o, members), variants = over_variants(spearman, p, o, drawn);
      one.spearman = RankEstimate{*rho, interval(items, kLevel), interval(variants, kLevel)};
      const auto a = interval(items, kLevel / kProxies), b = interval(variants, kLevel / kProxies);
      if (a && b) one.together = Pair(std::min(a->first, b->first), std::max(a->second, b->second));
    }
    if (const auto tau = kendall_tau_b(x, y))
      one.kendall = RankEstimate{*tau, interval(over_items(kendall_tau_b, p, o, members), kLevel),
                                 interval(over_variants(kendall_tau_b, p, o, drawn), kLevel)};
    return one;
  }

  std::optional<double> reliability(size_t outcome, const std::vector<size_t>& members) const {
    CompensatedSum sum;
    size_t answers = 0;
    for (const auto& [first, second] : halves_) {
      const auto rho = spearman(pick(means(outcome, first), members), pick(means(outcome, second), members));
      if (!rho) continue;
      sum.add(*rho);
      ++answers;
    }
    if (answers == 0) return std::nullopt;
    const double half = sum.value() / static_cast<double>(answers);
    return half <= -1 ? -1 : 2 * half / (1 + half);
  }

  void claim(TaskOutcome outcome, VariantGroupKind group, const std::vector<size_t>& members,
             const std::vector<std::vector<size_t>>& drawn) {
    ProxyClaim claim;
    claim.outcome = outcome;
    claim.group = group;
    claim.variants = members.size();
    claim.smallest_detectable = smallest_detectable_rho(null_deviation_of(members.size()));
    claim.reliability = reliability(static_cast<size_t>(outcome), members);
    std::vector<std::optional<Pair>> together;
    for (size_t p = 0; p < kProxies; ++p) {
      ProxyCorrelation one = correlate(static_cast<Proxy>(p), outcome, group, members, drawn);
      if (one.together && one.together->first >= options_.predicts) claim.predicting.push_back(one.proxy);
      together.push_back(one.together);
      result_.correlations.push_back(std::move(one));
    }
    claim.verdict = decide(together, options_.predicts, claim.reliability);
    result_.claims.push_back(std::move(claim));
  }

  ProxiesResult& result_;
  std::span<const ItemDamage> damage_;
  const ItemLayout& layout_;
  const ProxiesOptions& options_;
  std::vector<std::vector<uint32_t>> clusters_;
  size_t all_clusters_ = 0;
  std::vector<Counts> samples_;
  std::vector<std::pair<Counts, Counts>> halves_;
  std::vector<std::vector<std::vector<double>>> draws_;  // [outcome][resample][variant]
};

}  // namespace

std::string_view name_of(Proxy proxy) {
  constexpr std::string_view kNames[] = {"weight error", "layer reconstruction", "KL", "ln PPL change", "flip rate"};
  return kNames[static_cast<size_t>(proxy)];
}
std::string_view name_of(TaskOutcome outcome) {
  constexpr std::string_view kNames[] = {"accuracy drop", "margin drop", "margin drop per byte", "choices changed"};
  return kNames[static_cast<size_t>(outcome)];
}
std::string_view name_of(VariantGroupKind group) {
  constexpr std::string_view kNames[] = {"all", "recipes", "interventions", "mild"};
  return kNames[static_cast<size_t>(group)];
}
std::string_view name_of(ClaimOutcome outcome) {
  constexpr std::string_view kNames[] = {"supported", "refuted", "underpowered"};
  return kNames[static_cast<size_t>(outcome)];
}

ItemDamage damage_of(std::span<const ItemScore> base, std::span<const ItemScore> model) {
  ItemDamage damage;
  for (size_t i = 0; i < base.size(); ++i) {
    damage.values[0].push_back((base[i].right[0] ? 1.0 : 0.0) - (model[i].right[0] ? 1.0 : 0.0));
    damage.values[1].push_back(base[i].margin - model[i].margin);
    damage.values[2].push_back(base[i].margin_per_byte - model[i].margin_per_byte);
    damage.values[3].push_back(base[i].choice[0] != model[i].choice[0] ? 1.0 : 0.0);
  }
  return damage;
}

ClaimOutcome decide(std::span<const std::optional<Pair>> together, double predicts, std::optional<double> reliability) {
  bool all_below = !together.empty() && reliability && *reliability >= kLeastReliability;
  for (const std::optional<Pair>& one : together) {
    if (one && one->first >= predicts) return ClaimOutcome::kRefuted;
    all_below = all_below && one && one->second < predicts;
  }
  return all_below ? ClaimOutcome::kSupported : ClaimOutcome::kUnderpowered;
}

void conclude(ProxiesResult& result, std::span<const ItemDamage> damage, const ItemLayout& layout, const ProxiesOptions& options) {
  result.predicts = options.predicts;
  Analysis(result, damage, layout, options).run();
}

}  // namespace assay
