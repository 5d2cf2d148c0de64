#include "assay/study/proxies_figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

namespace assay {
namespace {

constexpr size_t kMargin = static_cast<size_t>(TaskOutcome::kMargin);
constexpr double kFarOut = 5;  // times the ninth decile of |margin drop|: such a point would flatten all others

// The largest |margin drop| that is drawn.
double reach_of(const ProxiesResult& result) {
  std::vector<double> sizes;
  for (const ProxyVariant& variant : result.variants) sizes.push_back(std::fabs(variant.outcomes[kMargin]));
  if (sizes.empty()) return 0;
  std::sort(sizes.begin(), sizes.end());
  return kFarOut * sizes[(sizes.size() - 1) * 9 / 10];
}

Figure panel_of(const ProxiesResult& result, Proxy proxy) {
  const auto p = static_cast<size_t>(proxy);
  Figure figure;
  figure.title = name_of(proxy);
  for (const ProxyCorrelation& one : result.correlations)
    if (one.proxy == proxy && one.outcome == TaskOutcome::kMargin && one.group == VariantGroupKind::kAll && one.spearman)
      figure.title += fmt::format(", rho {:.2f}", one.spearman->value);
  figure.x = {std::string(name_of(proxy)), "", AxisScale::kLog10};
  figure.y = {"margin drop", "nats per item"};
  figure.y.reach = {0};
  Points recipes{"recipes", {}}, interventions{"interventions", {}};
  for (const ProxyVariant& variant : result.variants) {
    const Interval& interval = variant.intervals[kMargin];
    if (std::fabs(variant.outcomes[kMargin]) > reach_of(result)) continue;
    Point point{variant.proxies[p], variant.outcomes[kMargin], {}, {interval.low, interval.high}, {}};
    (variant.recipe ? recipes : interventions).points.push_back(std::move(point));
  }
  for (Points* series : {&recipes, &interventions})
    if (!series->points.empty()) figure.series.emplace_back(std::move(*series));
  figure.references.push_back({ReferenceKind::kHorizontal, 0, ""});
  return figure;
}

}  // namespace

Result<std::vector<std::string>> write_figures(const ProxiesResult& result, const std::string& directory, const std::string& subtitle,
                                               const OutputOptions& options) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return fail(ErrorCode::kIo, {directory, "cannot be made", error.message(), ""});
  Chart chart;
  chart.title = "What tasks lose against what a proxy says";
  chart.subtitle = subtitle;
  chart.same_y = true;
  for (size_t p = 0; p < kProxies; ++p) chart.panels.push_back(panel_of(result, static_cast<Proxy>(p)));
  for (const ProxyVariant& variant : result.variants)
    if (std::fabs(variant.outcomes[kMargin]) > reach_of(result))
      chart.footnote +=
          fmt::format("{}{}: {:.3g}", chart.footnote.empty() ? "Far out, not drawn: " : ", ", variant.name, variant.outcomes[kMargin]);
  std::vector<std::string> paths;
  for (const char* ending : {"svg", "png"}) {
    paths.push_back((std::filesystem::path(directory) / (std::string("proxies.") + ending)).string());
    ASSAY_TRY(write_figure(paths.back(), chart, options));
  }
  return paths;
}

}  // namespace assay
