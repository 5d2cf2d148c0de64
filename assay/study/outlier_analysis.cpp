#include "assay/study/outlier_analysis.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "assay/probe/quantile_sketch.h"

namespace assay {
namespace {

constexpr double kTiny = 1e-12;  // the source's, in ratios

double mean_kl(const WindowSums& sums) { return sums.kl / static_cast<double>(sums.count); }
double recovery(double damage, double repaired) { return (damage - repaired) / (damage + kTiny); }

TaxonomyInput input_of(const OutlierRow& row) {
  TaxonomyInput input;
  input.kl = row.all.kl;
  input.tail_kl = row.all.tail_kl;
  input.flip_rate = row.all.flip_rate;
  if (row.interaction) input.interaction = row.interaction->value;
  input.max_stability = row.max_stability;
  return input;
}

// A control counts where it has all the fields that candidates have: the first of each.
bool is_comparable_control(const OutlierRow& row) { return row.kind == OutlierRow::Kind::kControl && row.max_stability.has_value(); }

}  // namespace

Behaviour behaviour_of(const PromptObservation& observed, double tail, const std::vector<bool>& chosen) {
  WindowTotals totals;
  SketchOptions exact;
  exact.exact_limit = observed.kl.size() + 1;
  QuantileSketch kl(exact);
  size_t at = 0;
  for (size_t p = 0; p < observed.sums.size(); ++p) {
    const WindowSums& sums = observed.sums[p];
    if (chosen.empty() || chosen[p]) {
      totals.add(sums);
      for (size_t i = 0; i < sums.count; ++i) kl.add(observed.kl[at + i]);
    }
    at += sums.count;
  }
  const WindowSums all = totals.value();
  Behaviour behaviour;
  behaviour.tokens = all.count;
  if (all.count == 0) return behaviour;
  const auto n = static_cast<double>(all.count);
  behaviour.kl = all.kl / n;
  behaviour.tail_kl = kl.ranked().tail_mean(tail);
  behaviour.flip_rate = static_cast<double>(all.flips) / n;
  behaviour.margin_change = all.margin_change / n;
  behaviour.ppl_base = std::exp(all.nll_base / n);
  // By the difference of losses: two perplexities would cancel.
  behaviour.ppl = behaviour.ppl_base * std::exp(all.nll_difference / n);
  return behaviour;
}

std::vector<Behaviour> behaviour_by_stratum(const PromptObservation& observed, double tail, std::span<const uint32_t> stratum_of_prompt,
                                            size_t strata) {
  std::vector<Behaviour> all;
  for (size_t s = 0; s < strata; ++s) {
    std::vector<bool> chosen;
    for (const uint32_t own : stratum_of_prompt) chosen.push_back(own == s);
    all.push_back(behaviour_of(observed, tail, chosen));
  }
  return all;
}

Interval mean_kl_of(std::span<const WindowSums> sums, uint64_t seed) { return bootstrap(sums, mean_kl, {.seed = seed}); }

Interval interaction_of(std::span<const std::span<const WindowSums>> joint_and_alone, uint64_t seed) {
  return bootstrap_joint(joint_and_alone,
                         [](std::span<const WindowSums> sums) {
                           double value = mean_kl(sums[0]);
                           for (const WindowSums& alone : sums.subspan(1)) value -= mean_kl(alone);
                           return value;
                         },
                         {.seed = seed});
}

Interval recovery_of(std::span<const WindowSums> damage, std::span<const WindowSums> repaired, uint64_t seed) {
  return bootstrap_pair(damage, repaired, [](const WindowSums& a, const WindowSums& b) { return recovery(mean_kl(a), mean_kl(b)); },
                        {.seed = seed});
}

Interval excess_of(std::span<const WindowSums> damage, std::span<const WindowSums> outliers,
                   std::span<const std::span<const WindowSums>> controls, uint64_t seed) {
  std::vector<std::span<const WindowSums>> all = {damage, outliers};
  all.insert(all.end(), controls.begin(), controls.end());
  return bootstrap_joint(all,
                         [](std::span<const WindowSums> sums) {
                           const double damaged = mean_kl(sums[0]);
                           double mean = 0;
                           for (const WindowSums& one : sums.subspan(2)) mean += recovery(damaged, mean_kl(one));
                           return recovery(damaged, mean_kl(sums[1])) - mean / static_cast<double>(sums.size() - 2);
                         },
                         {.seed = seed});
}

size_t position_bin(uint64_t position) { return static_cast<size_t>(std::bit_width(position)); }

std::vector<std::string> position_bins(uint64_t positions) {
  std::vector<std::string> bins;
  for (uint64_t first = 0; first < positions; first = first == 0 ? 1 : 2 * first) {
    const uint64_t last = std::min(positions, first == 0 ? 1 : 2 * first) - 1;
    bins.push_back(last == first ? std::to_string(first) : std::to_string(first) + "-" + std::to_string(last));
  }
  return bins;
}

void conclude(OutlierResult& result, const OutlierConfig& config) {
  std::vector<TaxonomyInput> candidates, controls;
  for (OutlierRow& row : result.rows) {
    const TaxonomyInput input = input_of(row);
    row.label = label_of(input, config.thresholds);
    if (row.kind != OutlierRow::Kind::kControl) {
      if (row.listed || row.under) candidates.push_back(input);
    } else if (is_comparable_control(row)) {
      controls.push_back(input);
    }
  }
  result.candidates = sensitivity_of(candidates, config.thresholds);
  result.controls = sensitivity_of(controls, config.thresholds);
  for (const OutlierShare& one : result.shares)
    if (one.selection == "outliers")
      result.statistics.push_back(
          {share_statistic(find_type(one.type)->type, one.k), one.share.value, std::pair{one.share.low, one.share.high}});
  for (const OutlierExcess& one : result.excesses)
    result.statistics.push_back(
        {excess_statistic(find_type(one.type)->type, one.k), one.excess.value, std::pair{one.excess.low, one.excess.high}});
  judge(result, config.criteria.empty() ? default_outlier_criteria(config) : config.criteria);
}

}  // namespace assay
