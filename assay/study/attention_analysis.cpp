#include "assay/study/attention_analysis.h"

#include <algorithm>
#include <cmath>

#include "assay/base/random.h"
#include "assay/probe/statistics.h"
#include "assay/score/agreement.h"
#include "assay/score/score_verdict.h"

namespace assay {
namespace {

constexpr double kLeastLoss = 1e-9;                                       // of perplexity, as in the source
constexpr double kCrystallisedRatio = 0.2, kCrystallisedStability = 0.9;  // the source's rule
constexpr uint32_t kRankResamples = 2000;

double mean_of(double sum, const WindowSums& s) { return sum / static_cast<double>(s.count); }
double perplexity(const WindowSums& s) { return std::exp(mean_of(s.nll, s)); }

Estimate joint(const std::vector<WindowsOf>& variants, const JointStatistic& statistic, uint64_t seed) {
  return estimate_of(bootstrap_joint(variants, statistic, {.seed = seed}), variants[0].size() > 1);
}

double lower_end(const Estimate& measure) { return measure.interval ? measure.interval->first : measure.value; }
double upper_end(const Estimate& measure) { return measure.interval ? measure.interval->second : measure.value; }

}  // namespace

double recovered_percent(double ppl_top1, double ppl, double ppl_full) {
  return 100 * (ppl_top1 - ppl) / std::max(ppl_top1 - ppl_full, kLeastLoss);
}

Estimate perplexity_change(WindowsOf mode, uint64_t seed) {
  return joint({mode}, [](std::span<const WindowSums> s) { return perplexity(s[0]) - std::exp(mean_of(s[0].nll_base, s[0])); }, seed);
}
Estimate mean_loss(WindowsOf mode, uint64_t seed) {
  return joint({mode}, [](std::span<const WindowSums> s) { return mean_of(s[0].nll_difference, s[0]); }, seed);
}
Estimate mean_kl(WindowsOf mode, uint64_t seed) {
  return joint({mode}, [](std::span<const WindowSums> s) { return mean_of(s[0].kl, s[0]); }, seed);
}

Estimate recovery_of(WindowsOf top1, WindowsOf full, WindowsOf mode, uint64_t seed) {
  const auto statistic = [](std::span<const WindowSums> s) {
    return recovered_percent(perplexity(s[0]), perplexity(s[2]), perplexity(s[1]));
  };
  return joint({top1, full, mode}, statistic, seed);
}

Estimate lead_of(WindowsOf top1, WindowsOf full, WindowsOf mode, const std::vector<WindowsOf>& controls, uint64_t seed) {
  std::vector<WindowsOf> all = {top1, full, mode};
  all.insert(all.end(), controls.begin(), controls.end());
  const auto statistic = [](std::span<const WindowSums> s) {
    const auto recovered = [&](size_t i) { return recovered_percent(perplexity(s[0]), perplexity(s[i]), perplexity(s[1])); };
    double sum = 0;
    for (size_t i = 3; i < s.size(); ++i) sum += recovered(i);
    return recovered(2) - sum / static_cast<double>(s.size() - 3);
  };
  return joint(all, statistic, seed);
}

AttentionSpectrum spectrum_of(int layer, int head, std::span<const double> energy) {
  AttentionSpectrum spectrum{layer, head, {}, 1, 0};
  double all = 0, squares = 0, sum = 0;
  for (const double one : energy) {
    all += one;
    squares += one * one;
  }
  for (const double one : energy) {
    sum += one;
    spectrum.cumulative.push_back(all > 0 ? sum / all : 1);
    if (spectrum.cumulative.back() < kEnoughRecovered / 100) ++spectrum.r90;
  }
  if (squares > 0) spectrum.participation = all * all / squares;
  return spectrum;
}

std::vector<HeadCrystallisation> heads_of(const AttentionSums& sums) {
  std::vector<HeadCrystallisation> heads;
  for (int layer = 0; layer < sums.layers; ++layer)
    for (int head = 0; head < sums.heads; ++head) {
      const HeadDiagnostics& own = sums.of(layer, head);
      const auto queries = static_cast<double>(std::max<uint64_t>(1, own.queries));
      heads.push_back({layer, head, own.ratio / queries, own.margin / queries, static_cast<double>(own.stable) / queries});
    }
  return heads;
}

std::vector<LayerCrystallisation> layers_of(std::span<const HeadCrystallisation> heads) {
  std::vector<LayerCrystallisation> layers;
  std::vector<double> counts;
  for (const HeadCrystallisation& head : heads) {
    if (layers.empty() || layers.back().layer != head.layer) {
      layers.push_back({head.layer, 0, 0, 0, false, {}});
      counts.push_back(0);
    }
    layers.back().ratio += head.ratio;
    layers.back().margin += head.margin;
    layers.back().stability += head.stability;
    ++counts.back();
  }
  for (size_t i = 0; i < layers.size(); ++i) {
    LayerCrystallisation& layer = layers[i];
    layer.ratio /= counts[i];
    layer.margin /= counts[i];
    layer.stability /= counts[i];
    layer.crystallised = layer.ratio < kCrystallisedRatio && layer.stability > kCrystallisedStability;
  }
  return layers;
}

std::optional<AttentionPrediction> prediction_of(std::string predictor, std::string over, std::span<const double> x,
                                                 std::span<const double> loss, uint64_t seed) {
  const std::optional<double> rho = spearman(x, loss);
  if (!rho) return std::nullopt;
  std::vector<double> draws;
  for (uint32_t i = 0; i < kRankResamples; ++i) {
    CounterRandom random(seed, i);
    std::vector<double> a, b;
    for (size_t j = 0; j < x.size(); ++j) {
      const auto at = static_cast<size_t>(random.next_below(x.size()));
      a.push_back(x[at]);
      b.push_back(loss[at]);
    }
    if (const auto one = spearman(a, b)) draws.push_back(*one);
  }
  AttentionPrediction prediction{std::move(predictor), std::move(over), x.size(), {*rho, {}}, 1};
  if (!draws.empty()) {
    const Interval interval = percentile_interval(*rho, std::move(draws));
    prediction.rho.interval = std::pair{interval.low, interval.high};
  }
  prediction.detectable = smallest_detectable_rho(null_deviation_of(x.size()));
  return prediction;
}

AttentionVerdict verdict_of(std::span<const RecoveryPoint> curve, int head_dim, const Estimate& loss, int compared_rank,
                            const std::optional<Estimate>& over_random, const std::optional<Estimate>& over_values) {
  AttentionVerdict verdict;
  verdict.compared_rank = compared_rank;
  const RecoveryPoint* best = nullptr;
  double highest = -INFINITY;
  for (const RecoveryPoint& point : curve) {
    if (point.rank >= head_dim) continue;  // exact, whatever the basis
    if (best == nullptr || point.recovery.value > best->recovery.value) best = &point;
    highest = std::max(highest, upper_end(point.recovery));
    if (!verdict.published_yes && point.recovery.value >= kEnoughRecovered) {
      verdict.published_yes = true;
      verdict.published_rank = point.rank;
      verdict.published_recovery = point.recovery.value;
    }
    if (!verdict.rank && point.recovery.interval && lower_end(point.recovery) >= kEnoughRecovered) verdict.rank = point.rank;
  }
  if (!verdict.published_yes && best != nullptr) {
    verdict.published_rank = best->rank;
    verdict.published_recovery = best->recovery.value;
  }
  if (over_random) verdict.beats_random = lower_end(*over_random) > 0;
  if (over_values) verdict.beats_values = lower_end(*over_values) > 0;
  if (lower_end(loss) <= 0) {
    verdict.ours = "nothing to recover";
    verdict.sentence = "Top-1 loses nothing that this text can show: there is nothing to recover.";
    return verdict;
  }
  if (best == nullptr) {
    verdict.ours = "not measured";
    verdict.sentence = "No rank below the head size was measured with the residual's basis.";
    return verdict;
  }
  if (verdict.rank) {
    verdict.ours = "yes";
    verdict.sentence = "Yes: rank " + std::to_string(*verdict.rank) + " recovers at least 90 %, by the lower end of its interval";
  } else if (highest < kLittleRecovered) {
    verdict.ours = "no";
    verdict.sentence = "No: no rank below the head size recovers even half, by the upper end of its interval";
  } else {
    verdict.ours = "partial";
    verdict.sentence = "Partial: no rank is certain to recover 90 %; the best is rank " + std::to_string(best->rank);
  }
  std::string equalled;  // controls that are as good, as far as their interval can tell
  if (verdict.beats_random && !*verdict.beats_random) equalled = "random";
  if (verdict.beats_values && !*verdict.beats_values) equalled += equalled.empty() ? "values" : ", values";
  const std::string at = " at rank " + std::to_string(compared_rank);
  if (!equalled.empty()) {
    verdict.sentence += "; but not more than an uninformative basis (" + equalled + ')' + at + '.';
  } else if (verdict.beats_random || verdict.beats_values) {
    verdict.sentence += "; and more than the controls" + at + '.';
  } else {
    verdict.sentence += "; without controls.";
  }
  return verdict;
}

const AttentionRow* find_row(const AttentionResult& result, std::string_view rule, int k, std::string_view basis, std::string_view set,
                             const std::vector<int>& layers) {
  for (const AttentionRow& row : result.rows)
    if (row.mode.rule == rule && row.mode.k == k && row.mode.basis == basis && row.mode.set == set && row.mode.layers == layers)
      return &row;
  return nullptr;
}

}  // namespace assay
