#include "assay/study/attention_figures.h"

#include <algorithm>
#include <functional>
#include <map>

#include "assay/report/figure.h"
#include "assay/study/attention_analysis.h"
#include "assay/study/estimate_figure.h"

namespace assay {
namespace {

std::string layers_text(const std::vector<int>& layers) {
  std::string text;
  for (const int layer : layers) text += (text.empty() ? "" : ", ") + std::to_string(layer);
  return text;
}

// The bases in the order they were measured in; of random ones the first draw.
std::vector<Line> curves(const AttentionResult& result, const std::function<bool(const AttentionRow&, LinePoint&)>& point_of) {
  std::vector<Line> lines;
  for (const AttentionRow& row : result.rows) {
    if (row.mode.rule != "low-rank" || row.mode.set != "together" || row.mode.draw != 0) continue;
    LinePoint point;
    if (!point_of(row, point)) continue;
    auto line = std::find_if(lines.begin(), lines.end(), [&](const Line& one) { return one.name == row.mode.basis; });
    if (line == lines.end()) line = lines.insert(lines.end(), {row.mode.basis, {}});
    line->points.push_back(point);
  }
  return lines;
}

void add_recovery(const AttentionResult& result, const std::string& subtitle, std::vector<NamedFigure>& figures) {
  std::vector<double> ranks;
  std::vector<Line> lines = curves(result, [&](const AttentionRow& row, LinePoint& point) {
    if (!row.recovery) return false;
    const double rank = row.mode.k;
    if (std::find(ranks.begin(), ranks.end(), rank) == ranks.end()) ranks.push_back(rank);
    point = {rank, row.recovery->value, range_of(*row.recovery)};
    return true;
  });
  if (lines.empty()) return;
  Figure figure{.title = "What a low-rank residual gives back of top-1's loss", .subtitle = subtitle};
  figure.x = {"rank", "", AxisScale::kLog10};
  figure.x.ticks = ranks;
  figure.y = {"recovered", "%"};
  figure.y.reach = {0, 100};
  for (Line& line : lines) figure.series.emplace_back(std::move(line));
  figure.references.push_back({ReferenceKind::kHorizontal, kEnoughRecovered, "90 %"});
  figure.footnote = "Layers " + layers_text(result.chosen) + " together; 95 % intervals over " + result.interval + "; head size " +
                    std::to_string(result.head_dim) + "; random: the first of its draws.";
  figures.emplace_back("recovery", std::move(figure));
}

void add_energy(const AttentionResult& result, const std::string& subtitle, std::vector<NamedFigure>& figures) {
  std::vector<Line> lines = curves(result, [](const AttentionRow& row, LinePoint& point) {
    if (!row.kept) return false;
    point = {100 * *row.kept, row.ppl_change.value, range_of(row.ppl_change)};
    return true;
  });
  if (lines.empty()) return;
  Figure figure{.title = "Perplexity against the energy of the residual that a basis keeps", .subtitle = subtitle};
  figure.x = {"energy kept on evaluated text", "%"};
  figure.y = {"change of perplexity"};
  for (Line& line : lines) figure.series.emplace_back(std::move(line));
  figure.footnote = "Every mark is a rank; energy on the first " + std::to_string(result.diagnostic_windows) +
                    " windows. Where curves lie on one another, energy is all that a basis is about.";
  figures.emplace_back("energy", std::move(figure));
}

// Cumulative energy by direction: of each chosen layer the mean over its heads.
void add_spectra(const AttentionResult& result, const std::string& subtitle, std::vector<NamedFigure>& figures) {
  std::map<int, std::pair<std::vector<double>, double>> by_layer;
  for (const AttentionSpectrum& one : result.spectra) {
    auto& [sums, count] = by_layer[one.layer];
    sums.resize(one.cumulative.size());
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += one.cumulative[i];
    ++count;
  }
  if (by_layer.empty()) return;
  Figure figure{.title = "Energy of the residual in its first directions", .subtitle = subtitle};
  figure.x = {"directions"};
  figure.y = {"cumulative energy", "%"};
  figure.y.reach = {0, 100};
  for (const auto& [layer, sums] : by_layer) {
    Line line{"layer " + std::to_string(layer), {}, false};
    for (size_t i = 0; i < sums.first.size(); ++i)
      line.points.push_back({static_cast<double>(i + 1), 100 * sums.first[i] / sums.second, {}});
    figure.series.emplace_back(std::move(line));
  }
  figure.references.push_back({ReferenceKind::kHorizontal, kEnoughRecovered, "90 %"});
  figure.footnote = "Mean over the heads of a layer, on the basis text.";
  figures.emplace_back("spectra", std::move(figure));
}

void add_map(const AttentionResult& result, const std::string& subtitle, std::vector<NamedFigure>& figures) {
  if (result.heads_map.empty()) return;
  Figure figure{.title = "How far from one-hot each head is: p2 / p1", .subtitle = subtitle};
  figure.x = {"head", "", AxisScale::kCategories};
  figure.y = {"layer", "", AxisScale::kCategories};
  Cells cells{"p2 / p1", {}};
  for (int head = 0; head < result.heads; ++head) figure.x.categories.push_back(std::to_string(head));
  for (int layer = 0; layer < result.layers; ++layer) figure.y.categories.push_back(std::to_string(layer));
  for (const HeadCrystallisation& one : result.heads_map)
    cells.cells.push_back({static_cast<size_t>(one.head), static_cast<size_t>(one.layer), one.ratio});
  figure.series.emplace_back(std::move(cells));
  figure.footnote =
      "Fainter is more crystallised; queries from position 16 on, of the first " + std::to_string(result.diagnostic_windows) + " windows.";
  figure.height = std::max(300.0, 24.0 * result.layers);
  figures.emplace_back("map", std::move(figure));
}

void add_prediction(const AttentionResult& result, const std::string& subtitle, std::vector<NamedFigure>& figures) {
  Points points;
  for (const LayerCrystallisation& layer : result.layers_map) {
    if (!layer.loss) continue;
    Point point;
    point.x = layer.ratio;
    point.y = layer.loss->value;
    point.y_interval = range_of(*layer.loss);
    point.label = std::to_string(layer.layer);
    points.points.push_back(std::move(point));
  }
  if (points.points.size() < 2) return;
  Figure figure{.title = "Does crystallisation predict what top-1 loses?", .subtitle = subtitle};
  figure.x = {"mean p2 / p1 of the layer"};
  figure.y = {"loss of top-1 in this layer alone", "nats per token"};
  figure.series.emplace_back(std::move(points));
  figure.footnote = "Numbers are layers.";
  figures.emplace_back("prediction", std::move(figure));
}

}  // namespace

Result<std::vector<std::string>> write_figures(const AttentionResult& result, const std::string& directory, const std::string& subtitle,
                                               const OutputOptions& options) {
  std::vector<NamedFigure> figures;
  add_recovery(result, subtitle, figures);
  add_energy(result, subtitle, figures);
  add_spectra(result, subtitle, figures);
  add_map(result, subtitle, figures);
  add_prediction(result, subtitle, figures);
  return write_figures(directory, figures, options);
}

}  // namespace assay
