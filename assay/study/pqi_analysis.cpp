#include "assay/study/pqi_analysis.h"

#include <algorithm>
#include <cmath>

#include "assay/base/sum.h"
#include "assay/probe/statistics.h"
#include "assay/score/agreement.h"

namespace assay {
namespace {

// Gauss converges within these to what float32 losses can show.
constexpr int kMostGauss = 8;

std::vector<WindowSums> windows_of(std::span<const uint32_t> documents) {
  std::vector<WindowSums> windows(documents.size());
  for (size_t w = 0; w < windows.size(); ++w) {
    windows[w].document = documents[w];
    windows[w].count = 1;
  }
  return windows;
}

}  // namespace

Estimate window_ratio(std::span<const double> above, std::span<const double> below, std::span<const uint32_t> documents, uint64_t seed) {
  const std::vector<WindowSums> windows = windows_of(documents);
  const WindowResampler resampler(windows, {.seed = seed});
  const auto ratio = [&](std::span<const uint32_t> counts) {
    CompensatedSum a, b;
    for (size_t w = 0; w < above.size(); ++w) {
      a.add(counts[w] * above[w]);
      b.add(counts[w] * below[w]);
    }
    return a.value() / b.value();
  };
  std::vector<double> draws;
  for (uint32_t i = 0; i < resampler.options().resamples; ++i) {
    const std::vector<uint32_t> counts = resampler.counts(i);
    if (counts.empty()) break;
    draws.push_back(ratio(counts));
  }
  const bool known = !draws.empty();
  return estimate_of(percentile_interval(ratio(std::vector<uint32_t>(above.size(), 1)), std::move(draws)), known);
}

Estimate window_mean(std::span<const double> values, std::span<const uint32_t> documents, uint64_t seed) {
  return window_ratio(values, std::vector<double>(values.size(), 1.0), documents, seed);
}

Estimate curvature_of(std::span<const double> changes, std::span<const double> firsts, double lambda, std::span<const uint32_t> documents,
                      uint64_t seed) {
  std::vector<double> values(changes.size());
  for (size_t w = 0; w < values.size(); ++w) values[w] = (changes[w] - lambda * firsts[w]) / (lambda * lambda);
  return window_mean(values, documents, seed);
}

PqiAgreement agreement_of(std::string measure, std::string with, std::span<const double> a, std::span<const double> b) {
  PqiAgreement agreement{std::move(measure), std::move(with), spearman(a, b), {}};
  for (const double part : kTopParts) {
    const auto k = static_cast<size_t>(std::lround(part * static_cast<double>(a.size())));
    if (const auto overlap = top_k_overlap(a, b, k)) agreement.overlaps.emplace_back(part, *overlap);
  }
  return agreement;
}

std::vector<int> closure_intervals(PathRule rule, int most) {
  if (rule == PathRule::kGauss) most = std::min(most, kMostGauss);
  std::vector<int> all;
  for (int n = 1; n < most; n *= 2) all.push_back(n);
  all.push_back(most);
  return all;
}

PqiOrders sum_of(std::span<const PqiOrders> layers) {
  PqiOrders sum;
  sum.name = "sum";
  for (const PqiOrders& one : layers) {
    sum.elements += one.elements;
    sum.first.value += one.first.value;
    sum.second.value += one.second.value;
    sum.fisher += one.fisher;
    sum.change.value += one.change.value;
    sum.contribution += one.contribution;
  }
  sum.share.value = (sum.first.value + sum.second.value) / sum.change.value;
  return sum;
}

void conclude(PqiStudyResult& result, const std::vector<GgmlType>& types, const std::vector<Criterion>& criteria) {
  for (const PqiOfType& one : result.types) {
    const PqiOrders &all = one.all, sum = sum_of(one.layers);
    const GgmlTypeInfo* const type = find_type(one.type);
    if (type == nullptr || !std::isfinite(all.share.value)) continue;
    result.statistics.push_back({share_statistic(type->type), all.share.value, all.share.interval});
    result.statistics.push_back({"share of first order at " + one.type, all.first.value / all.change.value, {}});
    result.statistics.push_back(
        {"share of first order and Fisher diagonal at " + one.type, (all.first.value + all.fisher) / all.change.value, {}});
    if (!one.layers.empty())
      result.statistics.push_back({"sum of layers alone over all together at " + one.type, sum.change.value / all.change.value, {}});
  }
  judge(result, criteria.empty() ? default_pqi_criteria(types) : criteria);
}

}  // namespace assay
