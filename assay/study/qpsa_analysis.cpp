#include "assay/study/qpsa_analysis.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

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

const QpsaPruning* pruned(const QpsaResult& result, const std::string& method, int k) {
  for (const QpsaPruning& one : result.pruning)
    if (one.method == method && one.k == k) return &one;
  return nullptr;
}

void add_statistics(QpsaResult& result) {
  for (const auto& [name, one] : result.correlations) result.statistics.push_back({"rho of " + name, one.rho, one.interval});
  for (const QpsaMethod& method : result.methods)
    if (method.split_half) result.statistics.push_back({"split-half rho of " + method.name, *method.split_half, {}});
  for (const QpsaPruning& one : result.pruning) {
    if (!one.method.starts_with("qpsa")) continue;
    double best = INFINITY;
    for (const char* const baseline : {"layer_ablation", "weight_norm", "random"})
      if (const QpsaPruning* other = pruned(result, baseline, one.k)) best = std::min(best, other->ppl_ratio);
    if (std::isfinite(best))
      result.statistics.push_back(
          {"ppl ratio of " + one.method + " over the best baseline at K = " + std::to_string(one.k), one.ppl_ratio / best, {}});
  }
  const QpsaMethod* ablation = find_method(result, "layer_ablation");
  for (const QpsaMethod& method : result.methods)
    if (ablation != nullptr && ablation->forward_equivalents > 0 && method.forward_equivalents > 0)
      result.statistics.push_back(
          {"cost of " + method.name + " in runs of layer_ablation", method.forward_equivalents / ablation->forward_equivalents, {}});
  const QpsaMethod* byte = find_method(result, "qpsa_byte");
  if (byte == nullptr || result.loops.empty()) return;
  const std::set<int> top = first_of(byte->ranking, byte->ranking.size() / 2);
  double high = 0, low = 0;
  int highs = 0, lows = 0;
  for (const QpsaLoop& one : result.loops) {
    if (one.form != "repeat" || one.first != one.last || one.gamma != 1) continue;
    (top.contains(one.first) ? high : low) += one.nll_difference;
    ++(top.contains(one.first) ? highs : lows);
  }
  if (highs > 0 && lows > 0 && low != 0)
    result.statistics.push_back({"damage of repeating the top half over the bottom half", high / highs / (low / lows), {}});
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
    out.push_back({"random", k, quantile(ratios, 0.5), std::pair{quantile(ratios, 0.25), quantile(ratios, 0.75)}, {}});
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
    row.split_half = split_half(effects, layers, size);
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
  add_statistics(result);
  for (const Criterion& criterion : config.criteria.empty() ? default_criteria() : config.criteria)
    result.verdicts.push_back(judge(criterion, result.statistics));
  result.outcome = overall(result.verdicts);
}

}  // namespace assay
