#include "assay/study/proxies_figures.h"

#include <fmt/format.h>

#include <filesystem>

namespace assay {
namespace {

Figure panel_of(const ProxiesResult& result, Proxy proxy) {
  const auto p = static_cast<size_t>(proxy), margin = static_cast<size_t>(TaskOutcome::kMargin);
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
    const Interval& interval = variant.intervals[margin];
    Point point{variant.proxies[p], variant.outcomes[margin], {}, {interval.low, interval.high}, {}};
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
  std::vector<std::string> paths;
  for (const char* ending : {"svg", "png"}) {
    paths.push_back((std::filesystem::path(directory) / (std::string("proxies.") + ending)).string());
    ASSAY_TRY(write_figure(paths.back(), chart, options));
  }
  return paths;
}

}  // namespace assay
