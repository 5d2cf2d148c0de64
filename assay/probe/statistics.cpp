#include "assay/probe/statistics.h"

#include <algorithm>
#include <map>

#include "assay/base/random.h"

namespace assay {
namespace {

constexpr size_t kFewDocuments = 8;

// Windows by the unit that is resampled.
std::vector<std::vector<size_t>> clusters_of(std::span<const WindowSums> windows) {
  std::map<uint32_t, std::vector<size_t>> by_document;
  for (size_t w = 0; w < windows.size(); ++w) by_document[windows[w].document].push_back(w);
  std::vector<std::vector<size_t>> clusters;
  if (by_document.size() >= kFewDocuments) {
    for (auto& [document, members] : by_document) clusters.push_back(std::move(members));
  } else {
    for (size_t w = 0; w < windows.size(); ++w) clusters.push_back({w});
  }
  return clusters;
}

Interval percentile_interval(double value, std::vector<double> draws) {
  std::sort(draws.begin(), draws.end());
  const auto at = [&](double f) { return draws[static_cast<size_t>(f * static_cast<double>(draws.size() - 1) + 0.5)]; };
  return draws.empty() ? Interval{value, value, value} : Interval{value, at(0.025), at(0.975)};
}

}  // namespace

std::string bootstrap_unit(std::span<const WindowSums> windows) {
  std::map<uint32_t, int> documents;
  for (const WindowSums& window : windows) ++documents[window.document];
  return documents.size() >= kFewDocuments ? "documents" : "windows (fewer than 8 documents)";
}

Interval bootstrap_pair(std::span<const WindowSums> a, std::span<const WindowSums> b, const PairStatistic& statistic, const BootstrapOptions& options) {
  const auto clusters = clusters_of(a);
  std::vector<WindowSums> sums_a(clusters.size()), sums_b(clusters.size());
  WindowSums all_a, all_b;
  for (size_t c = 0; c < clusters.size(); ++c)
    for (const size_t w : clusters[c]) {
      sums_a[c] += a[w];
      sums_b[c] += b[w];
      all_a += a[w];
      all_b += b[w];
    }
  std::vector<double> draws;
  for (uint32_t i = 0; i < options.resamples && clusters.size() > 1; ++i) {
    CounterRandom random(options.seed, i);
    WindowSums drawn_a, drawn_b;
    for (size_t c = 0; c < clusters.size(); ++c) {
      const auto pick = static_cast<size_t>(random.next_below(clusters.size()));
      drawn_a += sums_a[pick];
      drawn_b += sums_b[pick];
    }
    draws.push_back(statistic(drawn_a, drawn_b));
  }
  return percentile_interval(statistic(all_a, all_b), std::move(draws));
}

Interval bootstrap(std::span<const WindowSums> windows, const WindowStatistic& statistic, const BootstrapOptions& options) {
  return bootstrap_pair(windows, windows, [&](const WindowSums& a, const WindowSums&) { return statistic(a); }, options);
}

}  // namespace assay
