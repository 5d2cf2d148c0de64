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

WindowGroups groups_of(std::span<const WindowSums> windows) {
  WindowGroups groups;
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

// The groups that one resample draws, in their order: take(group, of the partial ones).
template <class Take>
void draw_groups(const WindowGroups& groups, const BootstrapOptions& options, uint32_t resample, const Take& take) {
  CounterRandom random(options.seed, resample);
  for (size_t d = 0; d < groups.draws; ++d) take(static_cast<size_t>(random.next_below(groups.members.size())), false);
  if (!groups.partial.empty()) take(static_cast<size_t>(random.next_below(groups.partial.size())), true);
}

}  // namespace

Interval percentile_interval(double value, std::vector<double> draws) {
  std::sort(draws.begin(), draws.end());
  const auto at = [&](double f) { return draws[static_cast<size_t>(f * static_cast<double>(draws.size() - 1) + 0.5)]; };
  return draws.empty() ? Interval{value, value, value} : Interval{value, at(0.025), at(0.975)};
}

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
  const WindowGroups groups = groups_of(variants[0]);
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
    std::vector<WindowTotals> drawn(variants.size());
    draw_groups(groups, options, i, [&](size_t group, bool is_partial) {
      for (size_t v = 0; v < variants.size(); ++v) drawn[v].merge((is_partial ? partial : full)[v][group]);
    });
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

WindowResampler::WindowResampler(std::span<const WindowSums> windows, const BootstrapOptions& options)
    : windows_(windows.size()), options_(options), groups_(groups_of(windows)) {}

std::vector<uint32_t> WindowResampler::counts(uint32_t resample) const {
  if (groups_.members.size() <= 1) return {};
  std::vector<uint32_t> counts(windows_);
  draw_groups(groups_, options_, resample, [&](size_t group, bool is_partial) {
    for (const size_t window : (is_partial ? groups_.partial : groups_.members)[group]) ++counts[window];
  });
  return counts;
}

}  // namespace assay
