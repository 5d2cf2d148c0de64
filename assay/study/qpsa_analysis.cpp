#include "assay/study/qpsa_analysis.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "assay/probe/statistics.h"
#include "assay/score/agreement.h"

namespace assay {
namespace {

// Value at a share of sorted values, between neighbours.
double quantile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  const double at = share * static_cast<double>(values.size() - 1);
  const auto below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (at - static_cast<double>(below)) * (values[above] - values[below]);
}

// Scores of the layers that both methods rank.
std::pair<std::vector<double>, std::vector<double>> common(const QpsaMethod& a, const QpsaMethod& b) {
  std::pair<std::vector<double>, std::vector<double>> values;
  for (size_t layer = 0; layer < std::min(a.scores.size(), b.scores.size()); ++layer) {
    if (!std::isfinite(a.scores[layer]) || !std::isfinite(b.scores[layer])) continue;
    values.first.push_back(a.scores[layer]);
    values.second.push_back(b.scores[layer]);
  }
  return values;
}

std::set<int> first_of(const std::vector<int>& order, size_t count) {
  return {order.begin(), order.begin() + static_cast<ptrdiff_t>(std::min(count, order.size()))};
}
std::set<int> last_of(const std::vector<int>& order, size_t count) {
  return {order.end() - static_cast<ptrdiff_t>(std::min(count, order.size())), order.end()};
}

void add_correlations(QpsaResult& result) {
  for (size_t a = 0; a < result.methods.size(); ++a)
    for (size_t b = a + 1; b < result.methods.size(); ++b) {
      const auto [x, y] = common(result.methods[a], result.methods[b]);
      if (const auto found = rank_correlation(x, y))
        result.correlations.emplace_back(result.methods[a].name + " with " + result.methods[b].name, *found);
    }
}

// Halves of the two scores: above the median of each.
void add_quadrants(QpsaResult& result) {
  const QpsaMethod* sensitive = find_method(result, "qpsa_byte");
  if (sensitive == nullptr) sensitive = find_method(result, "qpsa_level");
  const QpsaMethod* essential = find_method(result, "layer_ablation");
  if (sensitive == nullptr || essential == nullptr) return;
  const auto [a, b] = common(*sensitive, *essential);
  if (a.empty()) return;
  const double middle_a = quantile(a, 0.5), middle_b = quantile(b, 0.5);
  for (size_t layer = 0; layer < sensitive->scores.size(); ++layer) {
    if (!std::isfinite(essential->scores[layer])) {
      result.quadrants.emplace_back();
      continue;
    }
    const bool high_a = sensitive->scores[layer] > middle_a, high_b = essential->scores[layer] > middle_b;
    result.quadrants.emplace_back(high_a ? (high_b ? "sensitive and essential" : "sensitive but expendable")
                                         : (high_b ? "robust but essential" : "robust and expendable"));
  }
}

// The value, and its interval over the text where there are segments enough.
using Segments = std::span<const WindowSums>;
Statistic over_text(std::string name, const std::vector<Segments>& rows, double value, const JointStatistic& statistic, uint64_t seed) {
  if (std::any_of(rows.begin(), rows.end(), [](Segments row) { return row.size() < kLeastSegments; })) return {std::move(name), value, {}};
  const Interval found = bootstrap_joint(rows, statistic, {2000, seed});
  return {std::move(name), value, std::pair{found.low, found.high}};
}

double mean_nll_difference(const WindowSums& sums) { return sums.nll_difference / static_cast<double>(sums.count); }

// Of repeating a layer, mean over the top half of the byte score's layers over that of the others.
void add_looping(QpsaResult& result, uint64_t seed) {
  const QpsaMethod* byte = find_method(result, "qpsa_byte");
  if (byte == nullptr) return;
  const std::set<int> top = first_of(byte->ranking, byte->ranking.size() / 2);
  std::vector<const QpsaLoop*> loops;
  for (const QpsaLoop& one : result.loops)
    if (one.form == "repeat" && one.first == one.last && one.gamma == 1) loops.push_back(&one);
  const auto ratio = [&](const std::function<double(size_t)>& damage) {
    double high = 0, low = 0;
    int highs = 0, lows = 0;
    for (size_t i = 0; i < loops.size(); ++i) {
      const bool is_top = top.contains(loops[i]->first);
      (is_top ? high : low) += damage(i);
      ++(is_top ? highs : lows);
    }
    return high / highs / (low / lows);
  };
  const double value = ratio([&](size_t i) { return loops[i]->nll_difference; });
  if (!std::isfinite(value)) return;
  std::vector<Segments> rows;
  for (const QpsaLoop* const loop : loops) rows.emplace_back(loop->segments);
  result.statistics.push_back(over_text(
      "damage of repeating the top half over the bottom half", rows, value,
      [&](Segments sums) { return ratio([&](size_t i) { return mean_nll_difference(sums[i]); }); }, seed));
}

void add_statistics(QpsaResult& result, uint64_t seed) {
  for (const auto& [name, one] : result.correlations) result.statistics.push_back({"rho of " + name, one.rho, one.interval});
  for (const QpsaMethod& method : result.methods)
    if (method.split_half)
      result.statistics.push_back({"split-half rho of " + method.name, method.split_half->rho, method.split_half->interval});
  const QpsaMethod* ablation = find_method(result, "layer_ablation");
  for (const QpsaMethod& method : result.methods)
    if (ablation != nullptr && ablation->forward_equivalents > 0 && method.forward_equivalents > 0)
      result.statistics.push_back(
          {"cost of " + method.name + " in runs of layer_ablation", method.forward_equivalents / ablation->forward_equivalents, {}});
  add_looping(result, seed);
}

}  // namespace

std::vector<SampledEffect> first_samples(std::span<const SampledEffect> effects, uint64_t per_tensor) {
  std::vector<SampledEffect> first;
  for (const SampledEffect& one : effects)
    if (one.number < per_tensor) first.push_back(one);
  return first;
}

std::vector<QpsaRegion> regions_of(std::span<const RegionSample> samples) {
  std::map<std::pair<std::string, std::string>, QpsaRegion> regions;
  double total = 0;
  for (const RegionSample& one : samples) {
    QpsaRegion& region = regions[{one.type, one.region}];
    region.type = one.type;
    region.region = one.region;
    ++region.bytes;
    region.non_finite += !one.counts;
    region.mean_effect += one.effect;
    region.mean_weights_changed += one.weights_changed;
    total += one.effect;
  }
  std::vector<QpsaRegion> out;
  for (auto& [key, region] : regions) {
    region.share_of_score = total > 0 ? region.mean_effect / total : 0;
    region.share_of_bytes = static_cast<double>(region.bytes) / static_cast<double>(samples.size());
    const uint64_t counted = region.bytes - region.non_finite;
    region.mean_effect = counted > 0 ? region.mean_effect / static_cast<double>(counted) : 0;
    region.mean_weights_changed /= static_cast<double>(region.bytes);
    out.push_back(region);
  }
  std::stable_sort(out.begin(), out.end(), [](const QpsaRegion& a, const QpsaRegion& b) { return a.share_of_score > b.share_of_score; });
  return out;
}

void compare_shortcut(std::span<const SampledEffect> measured, std::span<const SampledEffect> predicted, std::span<const double> both_sides,
                      int layers, QpsaShortcut& shortcut) {
  std::vector<double> a, b;
  std::vector<SampledEffect> kept_a, kept_b;
  double sum_a = 0, sum_b = 0, second = 0;
  for (size_t i = 0; i < measured.size(); ++i) {
    if (!measured[i].counts || !predicted[i].counts) continue;
    a.push_back(measured[i].effect);
    b.push_back(predicted[i].effect);
    kept_a.push_back(measured[i]);
    kept_b.push_back(predicted[i]);
    sum_a += a.back();
    sum_b += b.back();
    second += std::fabs(both_sides[i]);
  }
  shortcut.weights_compared = a.size();
  shortcut.rho_weights = spearman(a, b);
  shortcut.sum_ratio = sum_b > 0 ? sum_a / sum_b : 0;
  shortcut.second_order_share = sum_a > 0 ? second / sum_a : 0;
  // Layers without samples (a selection of layers) say nothing.
  const std::vector<LayerScore> of_a = layer_scores(kept_a, layers), of_b = layer_scores(kept_b, layers);
  std::vector<double> x, y, all;
  for (size_t layer = 0; layer < of_a.size(); ++layer) {
    if (of_a[layer].samples == 0) continue;
    x.push_back(of_a[layer].value);
    y.push_back(of_b[layer].value);
    all.push_back(shortcut.scores[layer]);
  }
  shortcut.rho_layers_same = spearman(x, y);
  shortcut.rho_layers_all = spearman(x, all);
}

std::vector<QpsaPruning> summarize_pruning(std::span<const QpsaPruning> rows) {
  std::vector<QpsaPruning> out;
  std::map<int, std::vector<double>> random;
  for (const QpsaPruning& one : rows) {
    if (one.method == "random") {
      random[one.k].push_back(one.ppl_ratio);
    } else {
      out.push_back(one);
    }
  }
  for (const auto& [k, ratios] : random)
    out.push_back({"random", k, quantile(ratios, 0.5), std::pair{quantile(ratios, 0.25), quantile(ratios, 0.75)}, {}, {}});
  return out;
}

std::vector<Statistic> pruning_statistics(std::span<const QpsaPruning> rows, uint64_t seed) {
  const std::set<std::string> baselines = {"layer_ablation", "weight_norm", "random"};
  std::vector<Statistic> out;
  for (const QpsaPruning& one : rows) {
    if (!one.method.starts_with("qpsa")) continue;
    std::vector<const QpsaPruning*> others;
    std::vector<Segments> segments = {one.segments};
    for (const QpsaPruning& other : rows)
      if (other.k == one.k && baselines.contains(other.method)) {
        others.push_back(&other);
        segments.emplace_back(other.segments);
      }
    if (others.empty()) continue;
    // `own` and the others' perplexity ratios; random draws count as their median.
    const auto statistic = [&](double own, const std::vector<double>& ratios) {
      double best = INFINITY;
      std::vector<double> random;
      for (size_t i = 0; i < others.size(); ++i)
        if (others[i]->method == "random")
          random.push_back(ratios[i]);
        else
          best = std::min(best, ratios[i]);
      return own / (random.empty() ? best : std::min(best, quantile(random, 0.5)));
    };
    std::vector<double> measured;
    for (const QpsaPruning* const other : others) measured.push_back(other->ppl_ratio);
    const auto of_sums = [&](Segments sums) {
      std::vector<double> ratios;
      for (const WindowSums& sum : sums.subspan(1)) ratios.push_back(std::exp(mean_nll_difference(sum)));
      return statistic(std::exp(mean_nll_difference(sums[0])), ratios);
    };
    out.push_back(over_text("ppl ratio of " + one.method + " over the best baseline at K = " + std::to_string(one.k), segments,
                            statistic(one.ppl_ratio, measured), of_sums, seed));
  }
  return out;
}

std::vector<QpsaConvergence> convergence_of(const std::string& name, std::span<const SampledEffect> effects, int layers,
                                            const std::vector<uint64_t>& sizes) {
  std::vector<QpsaConvergence> rows;
  if (sizes.empty()) return rows;
  const std::vector<double> largest = values_of(layer_scores(effects, layers, sizes.back()));
  const std::vector<int> order = ranked(largest);
  for (const uint64_t size : sizes) {
    const std::vector<LayerScore> scores = layer_scores(effects, layers, size);
    const std::vector<double> values = values_of(scores);
    QpsaConvergence row;
    row.method = name;
    row.samples = size;
    row.rho_to_largest = spearman(values, largest);
    if (const auto halves = split_half(effects, layers, size)) row.split_half = halves->rho;
    for (const LayerScore& score : scores)
      if (score.value > 0) row.mean_relative_error += score.standard_error / score.value / static_cast<double>(layers);
    const std::vector<int> own = ranked(values);
    row.same_top_4 = first_of(own, 4) == first_of(order, 4);
    row.same_bottom_5 = last_of(own, 5) == last_of(order, 5);
    rows.push_back(std::move(row));
  }
  return rows;
}

const QpsaMethod* find_method(const QpsaResult& result, std::string_view name) {
  for (const QpsaMethod& method : result.methods)
    if (method.name == name) return &method;
  return nullptr;
}

void conclude(QpsaResult& result, const QpsaConfig& config) {
  add_correlations(result);
  add_quadrants(result);
  add_statistics(result, config.seed);
  judge(result, config.criteria.empty() ? default_criteria() : config.criteria);
}

}  // namespace assay
