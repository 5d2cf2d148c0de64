#include "assay/study/pqi_figures.h"

#include <cmath>
#include <map>

#include "assay/report/figure.h"
#include "assay/study/estimate_figure.h"

namespace assay {
namespace {

void add_orders(const PqiOfType& one, const std::string& subtitle, std::vector<NamedFigure>& figures) {
  if (one.layers.size() < 2) return;
  Figure figure{.title = "Each layer alone at " + one.type, .subtitle = subtitle};
  figure.x = {"change of the loss", "nats per token"};
  figure.y.scale = AxisScale::kCategories;
  Bars measured{"measured", {}}, exact{"first + exact second order", {}}, fisher{"first order + Fisher diagonal", {}};
  for (const PqiOrders& row : one.layers) {
    figure.y.categories.push_back(row.name);
    measured.bars.push_back({row.change.value, range_of(row.change)});
    exact.bars.push_back({row.first.value + row.second.value, {}});
    fisher.bars.push_back({row.first.value + row.fisher, {}});
  }
  figure.series = {std::move(measured), std::move(exact), std::move(fisher)};
  figures.emplace_back("orders_" + one.type, std::move(figure));
}

void add_closure(const PqiOfType& one, const std::string& subtitle, std::vector<NamedFigure>& figures) {
  std::vector<Line> lines;
  for (const PqiClosure& row : one.closure) {
    if (lines.empty() || lines.back().name != row.rule) lines.push_back({row.rule, {}});
    lines.back().points.push_back({static_cast<double>(row.points), std::fabs(row.error.value / one.all.change.value), {}});
  }
  if (lines.empty()) return;
  Figure figure{.title = "Closure error at " + one.type, .subtitle = subtitle};
  figure.x = {"gradients", "", AxisScale::kLog10};
  figure.y = {"|predicted - measured| / measured", "", AxisScale::kLog10};
  for (Line& line : lines) figure.series.emplace_back(std::move(line));
  figures.emplace_back("closure_" + one.type, std::move(figure));
}

void add_curvature(const PqiStudyResult& result, const std::string& subtitle, std::vector<NamedFigure>& figures) {
  Figure figure{.title = "Curvature along the step, over what it is at its beginning", .subtitle = subtitle};
  figure.x = {"part of the step", "", AxisScale::kLog10};
  figure.y = {"c(lambda) / (1/2 d H d)"};
  figure.y.reach = {0, 1};
  for (const PqiOfType& one : result.types) {
    Line line;
    line.name = one.type;
    // Below, float32's rounding of the losses is as large as what is divided.
    for (const PqiStep& step : one.steps)
      if (step.lambda >= 0.05) line.points.push_back({step.lambda, step.curvature.value / one.all.second.value, {}});
    if (!line.points.empty()) figure.series.emplace_back(std::move(line));
  }
  if (figure.series.empty()) return;
  figure.references.push_back({ReferenceKind::kHorizontal, 1, "second order is all there is"});
  figures.emplace_back("curvature", std::move(figure));
}

}  // namespace

Result<std::vector<std::string>> write_figures(const PqiStudyResult& result, const std::string& directory, const std::string& subtitle,
                                               const OutputOptions& options) {
  std::vector<NamedFigure> figures;
  for (const PqiOfType& one : result.types) {
    add_orders(one, subtitle, figures);
    add_closure(one, subtitle, figures);
  }
  add_curvature(result, subtitle, figures);
  return write_figures(directory, figures, options);
}

}  // namespace assay
