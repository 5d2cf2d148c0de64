#include "assay/study/qpsa_figures.h"

#include <algorithm>
#include <map>

#include "assay/report/figure.h"
#include "assay/study/qpsa_analysis.h"

namespace assay {
namespace {

double rank_of(const QpsaMethod& method, int layer) {
  const auto found = std::find(method.ranking.begin(), method.ranking.end(), layer);
  return static_cast<double>(found - method.ranking.begin()) + 1;
}

// One method's ranks, with their intervals, against layer ablation's.
void add_ranks(const QpsaResult& result, std::string_view name, const std::string& subtitle, std::vector<NamedFigure>& figures) {
  const QpsaMethod *method = find_method(result, name), *ablation = find_method(result, "layer_ablation");
  if (method == nullptr || ablation == nullptr || ablation->ranking.empty()) return;
  Figure figure;
  figure.title = std::string(name) + " against what leaving a layer out costs";
  figure.subtitle = subtitle;
  figure.x = {"rank by layer ablation (1: most damage)"};
  figure.y = {"rank by " + std::string(name)};
  Points points;
  for (const int layer : ablation->ranking) {
    Point point;
    point.x = rank_of(*ablation, layer);
    point.y = rank_of(*method, layer);
    if (const auto at = static_cast<size_t>(layer); at < method->ranks.size())
      point.y_interval = {method->ranks[at].low, method->ranks[at].high};
    point.label = std::to_string(layer);
    points.points.push_back(point);
  }
  figure.series.emplace_back(std::move(points));
  figure.references.push_back({ReferenceKind::kDiagonal, 0, "equal ranks"});
  figure.footnote = "Numbers are layers; bars are 95 % intervals of the rank under resampled samples.";
  figures.emplace_back("ranks_" + std::string(name), std::move(figure));
}

void add_pruning(const QpsaResult& result, const std::string& subtitle, std::vector<NamedFigure>& figures) {
  std::map<std::string, Line> lines;
  for (const QpsaPruning& one : result.pruning) {
    Line& line = lines[one.method];
    line.name = one.method;
    LinePoint point{static_cast<double>(one.k), one.ppl_ratio, {}};
    if (one.quartiles) point.band = {one.quartiles->first, one.quartiles->second};
    line.points.push_back(point);
  }
  if (lines.empty()) return;
  Figure figure;
  figure.title = "Perplexity without the K least important layers";
  figure.subtitle = subtitle;
  figure.x = {"layers left out"};
  figure.y = {"perplexity ratio", "", AxisScale::kLog10};
  for (const char* name : {"qpsa_byte", "qpsa_level", "qpsa_gradient", "layer_ablation", "weight_norm", "random", "greedy"})
    if (auto found = lines.find(name); found != lines.end()) {
      std::sort(found->second.points.begin(), found->second.points.end(), [](const LinePoint& a, const LinePoint& b) { return a.x < b.x; });
      figure.series.emplace_back(found->second);
    }
  if (figure.series.empty()) return;
  figure.footnote = "Random: median and quartiles of the draws. Greedy: backward elimination.";
  figures.emplace_back("pruning", std::move(figure));
}

void add_convergence(const QpsaResult& result, const std::string& subtitle, std::vector<NamedFigure>& figures) {
  std::map<std::string, Line> lines;
  for (const QpsaConvergence& one : result.convergence)
    if (one.split_half) {
      lines[one.method].name = one.method;
      lines[one.method].points.push_back({static_cast<double>(one.samples), *one.split_half, {}});
    }
  if (lines.empty()) return;
  Figure figure;
  figure.title = "How far the score repeats itself";
  figure.subtitle = subtitle;
  figure.x = {"samples per matrix", "", AxisScale::kLog10};
  figure.y = {"split-half rank correlation"};
  figure.y.reach = {0, 1};
  for (auto& [name, line] : lines) figure.series.emplace_back(std::move(line));
  figure.references.push_back({ReferenceKind::kHorizontal, 0.8, "reliable"});
  figures.emplace_back("convergence", std::move(figure));
}

void add_anatomy(const QpsaResult& result, const std::string& subtitle, std::vector<NamedFigure>& figures) {
  if (result.regions.empty()) return;
  Figure figure;
  figure.title = "Where the byte score comes from";
  figure.subtitle = subtitle;
  figure.x = {"share", "%"};
  figure.y.scale = AxisScale::kCategories;
  Bars bytes{"of the bytes", {}}, score{"of the score", {}};
  for (const QpsaRegion& one : result.regions) {
    figure.y.categories.push_back(one.type + " " + one.region);
    bytes.bars.push_back({100 * one.share_of_bytes, {}});
    score.bars.push_back({100 * one.share_of_score, {}});
  }
  figure.series = {std::move(score), std::move(bytes)};
  figures.emplace_back("anatomy", std::move(figure));
}

}  // namespace

Result<std::vector<std::string>> write_figures(const QpsaResult& result, const std::string& directory, const std::string& subtitle,
                                               const OutputOptions& options) {
  std::vector<NamedFigure> figures;
  for (const char* name : {"qpsa_byte", "qpsa_level", "qpsa_gradient"}) add_ranks(result, name, subtitle, figures);
  add_pruning(result, subtitle, figures);
  add_convergence(result, subtitle, figures);
  add_anatomy(result, subtitle, figures);
  return write_figures(directory, figures, options);
}

}  // namespace assay
