#include "assay/probe/statistics.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "assay/base/random.h"

namespace assay {
namespace {

constexpr size_t kFewDocuments = 8;

// Windows by document.
std::map<uint32_t, std::vector<size_t>> documents_of(std::span<const WindowSums> windows) {
  std::map<uint32_t, std::vector<size_t>> documents;
  for (size_t w = 0; w < windows.size(); ++w) documents[windows[w].document].push_back(w);
  return documents;
}

// What one draw of the bootstrap takes: some of these groups of windows, each drawn alike.
struct Groups {
  std::vector<std::vector<size_t>> members;
  size_t draws = 0;                          // full groups per resample
  std::vector<std::vector<size_t>> partial;  // one of these at the end, so that every resample has as many windows as the sample
};

Groups groups_of(std::span<const WindowSums> windows) {
  Groups groups;
  auto documents = documents_of(windows);
  if (documents.size() >= kFewDocuments) {
    for (auto& [document, members] : documents) groups.members.push_back(std::move(members));
    groups.draws = groups.members.size();
    return groups;
  }
  const size_t count = windows.size(), length = block_length(count);
  const auto blocks = [&](size_t size) {
    std::vector<std::vector<size_t>> made(count);
    for (size_t start = 0; start < count; ++start)
      for (size_t i = 0; i < size; ++i) made[start].push_back((start + i) % count);
    return made;
  };
  groups.members = blocks(length);
  groups.draws = count / length;
  if (count % length != 0) groups.partial = blocks(count % length);
  return groups;
}

std::vector<WindowTotals> totals_of(std::span<const WindowSums> windows, const std::vector<std::vector<size_t>>& groups) {
  std::vector<WindowTotals> totals(groups.size());
  for (size_t g = 0; g < groups.size(); ++g)
    for (const size_t w : groups[g]) totals[g].add(windows[w]);
  return totals;
}

Interval percentile_interval(double value, std::vector<double> draws) {
  std::sort(draws.begin(), draws.end());
  const auto at = [&](double f) { return draws[static_cast<size_t>(f * static_cast<double>(draws.size() - 1) + 0.5)]; };
  return draws.empty() ? Interval{value, value, value} : Interval{value, at(0.025), at(0.975)};
}

}  // namespace

Extent extent_of(std::span<const WindowSums> windows) {
  Extent extent{0, windows.size(), documents_of(windows).size()};
  for (const WindowSums& window : windows) extent.tokens += window.count;
  return extent;
}

std::string bootstrap_unit(std::span<const WindowSums> windows) {
  return documents_of(windows).size() >= kFewDocuments ? "documents" : "blocks of windows (fewer than 8 documents)";
}

size_t block_length(size_t windows) {
  return std::max<size_t>(1, static_cast<size_t>(std::lround(std::cbrt(static_cast<double>(windows)))));
}

Interval bootstrap_joint(std::span<const std::span<const WindowSums>> variants, const JointStatistic& statistic,
                         const BootstrapOptions& options) {
  const Groups groups = groups_of(variants[0]);
  std::vector<std::vector<WindowTotals>> full, partial;  // [variant][group]
  std::vector<WindowSums> all;
  for (const std::span<const WindowSums> windows : variants) {
    full.push_back(totals_of(windows, groups.members));
    partial.push_back(totals_of(windows, groups.partial));
    WindowTotals total;
    for (const WindowSums& window : windows) total.add(window);
    all.push_back(total.value());
  }
  std::vector<double> draws;
  for (uint32_t i = 0; i < options.resamples && groups.members.size() > 1; ++i) {
    CounterRandom random(options.seed, i);
    std::vector<WindowTotals> drawn(variants.size());
    const auto draw = [&](const std::vector<std::vector<WindowTotals>>& from) {
      const auto pick = static_cast<size_t>(random.next_below(from[0].size()));
      for (size_t v = 0; v < variants.size(); ++v) drawn[v].merge(from[v][pick]);
    };
    for (size_t d = 0; d < groups.draws; ++d) draw(full);
    if (!groups.partial.empty()) draw(partial);
    std::vector<WindowSums> sums;
    for (const WindowTotals& total : drawn) sums.push_back(total.value());
    draws.push_back(statistic(sums));
  }
  return percentile_interval(statistic(all), std::move(draws));
}

Interval bootstrap_pair(std::span<const WindowSums> a, std::span<const WindowSums> b, const PairStatistic& statistic,
                        const BootstrapOptions& options) {
  const std::span<const WindowSums> both[] = {a, b};
  return bootstrap_joint(both, [&](std::span<const WindowSums> sums) { return statistic(sums[0], sums[1]); }, options);
}

Interval bootstrap(std::span<const WindowSums> windows, const WindowStatistic& statistic, const BootstrapOptions& options) {
  return bootstrap_pair(windows, windows, [&](const WindowSums& a, const WindowSums&) { return statistic(a); }, options);
}

}  // namespace assay
