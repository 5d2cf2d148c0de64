#include "assay/study/outlier_figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "assay/report/figure.h"
#include "assay/score/median.h"
#include "assay/study/estimate_figure.h"

namespace assay {
namespace {

using Kind = OutlierRow::Kind;

std::string short_name(const OutlierResult& result, size_t row) { return name_of(result.rows[row].place); }

void add_doses(const OutlierResult& result, const std::string& subtitle, std::vector<NamedFigure>& figures) {
  // Smaller weights and larger ones are lines of their own: at 1 the KL is 0, which a log axis cannot show.
  std::map<std::pair<size_t, bool>, Line> lines;
  std::map<double, std::vector<double>> controls;
  for (const OutlierDose& one : result.doses) {
    if (one.scale == 1) continue;
    if (result.rows[one.row].kind == Kind::kControl) {
      controls[one.scale].push_back(one.kl.value);
    } else {
      lines[{one.row, one.scale > 1}].points.push_back({one.scale, one.kl.value, range_of(one.kl)});
    }
  }
  if (lines.empty()) return;
  Figure figure{.title = "Dose and response", .subtitle = subtitle};
  figure.x = {"weight, times its value"};
  figure.y = {"KL divergence", "nats per token", AxisScale::kLog10};
  for (auto& [place, line] : lines) {
    line.name = short_name(result, place.first);
    std::sort(line.points.begin(), line.points.end(), [](const LinePoint& a, const LinePoint& b) { return a.x < b.x; });
    figure.series.emplace_back(std::move(line));
  }
  for (const bool larger : {false, true}) {
    Line line{"median of their controls", {}};
    for (const auto& [scale, values] : controls)
      if ((scale > 1) == larger) line.points.push_back({scale, median(values), {}});
    if (!line.points.empty()) figure.series.emplace_back(std::move(line));
  }
  figure.footnote = "at 1 nothing is changed";
  figures.emplace_back("dose_response", std::move(figure));
}

// Of each block the candidate that costs most: the strongest of all are often of the last blocks, where there is little to see.
std::vector<size_t> strongest_by_block(const OutlierResult& result) {
  std::map<int, size_t> best;
  for (size_t r = 0; r < result.rows.size(); ++r) {
    const OutlierRow& row = result.rows[r];
    if (row.kind == Kind::kControl || row.tracked.size() < 2) continue;
    const auto [found, is_first] = best.try_emplace(row.layer, r);
    if (!is_first && row.all.kl > result.rows[found->second].all.kl) found->second = r;
  }
  constexpr size_t kMostLines = 8;
  std::vector<size_t> rows;
  for (const auto& [layer, row] : best) rows.push_back(row);
  if (rows.size() > kMostLines) rows.resize(kMostLines);
  return rows;
}

void add_perturbation(const OutlierResult& result, const std::string& subtitle, std::vector<NamedFigure>& figures) {
  Figure norms{.title = "What a zeroed weight moves in the residual stream", .subtitle = subtitle};
  norms.x = {"block"};
  norms.y = {"mean norm of the change per token", "", AxisScale::kLog10};
  Figure shares{.title = "Share of the first principal direction in that change", .subtitle = subtitle};
  shares.x = {"block"};
  shares.y = {"lambda 1 over the sum, centred"};
  shares.y.reach = {0, 1};
  for (const size_t row : strongest_by_block(result)) {
    Line norm{short_name(result, row), {}}, share{short_name(result, row), {}};
    for (const TrackedLayer& one : result.rows[row].tracked) {
      norm.points.push_back({static_cast<double>(one.layer), one.token_norm, {}});
      share.points.push_back({static_cast<double>(one.layer), one.centred, {}});
    }
    norms.series.emplace_back(std::move(norm));
    shares.series.emplace_back(std::move(share));
  }
  if (norms.series.empty()) return;
  figures.emplace_back("perturbation", std::move(norms));
  figures.emplace_back("stability", std::move(shares));
}

void add_labels(const OutlierResult& result, const std::string& subtitle, std::vector<NamedFigure>& figures) {
  if (result.candidates.empty()) return;
  Figure figure{.title = "Labels of candidates and of matched controls", .subtitle = subtitle};
  figure.x = {"part of the weights", "%"};
  figure.y.scale = AxisScale::kCategories;
  for (size_t l = 0; l < kOutlierLabels; ++l) figure.y.categories.emplace_back(name_of(static_cast<OutlierLabel>(l)));
  const auto add = [&](const char* name, const std::vector<TaxonomySensitivity>& rows) {
    uint64_t all = 0;
    for (const uint64_t count : rows[0].counts) all += count;
    if (all == 0) return;
    Bars bars{name, {}};
    for (size_t l = 0; l < kOutlierLabels; ++l) {
      PlotRange moved{1e300, -1e300};
      for (const TaxonomySensitivity& row : rows) {
        const double part = 100.0 * static_cast<double>(row.counts[l]) / static_cast<double>(all);
        moved = {std::min(moved.low, part), std::max(moved.high, part)};
      }
      bars.bars.push_back({100.0 * static_cast<double>(rows[0].counts[l]) / static_cast<double>(all), moved});
    }
    figure.series.emplace_back(std::move(bars));
  };
  add("candidates", result.candidates);
  add("controls", result.controls);
  figure.footnote = "ranges: each threshold alone times 3 and divided by 3";
  figures.emplace_back("taxonomy", std::move(figure));
}

void add_controls(const OutlierResult& result, const std::string& subtitle, std::vector<NamedFigure>& figures) {
  Points robust{"robust outliers", {}}, under{"under-outliers", {}}, super{"super weights", {}};
  for (const OutlierRow& row : result.rows) {
    if (row.kind == Kind::kControl || row.controls == 0) continue;
    std::vector<double> values;
    for (size_t c = 0; c < row.controls; ++c) values.push_back(result.rows[row.first_control + c].all.kl);
    const Point point{row.all.kl, median(std::move(values)), {}, {}, ""};
    (row.kind == Kind::kSuper ? super : row.under ? under : robust).points.push_back(point);
  }
  Figure figure{.title = "Zeroing a weight and zeroing its matched controls", .subtitle = subtitle};
  figure.x = {"KL divergence, candidate", "nats per token", AxisScale::kLog10};
  figure.y = {"median of its controls", "nats per token", AxisScale::kLog10};
  for (Points* points : {&robust, &under, &super})
    if (!points->points.empty()) figure.series.emplace_back(std::move(*points));
  if (figure.series.empty()) return;
  figure.references.push_back({ReferenceKind::kDiagonal, 0, "no difference"});
  figures.emplace_back("controls", std::move(figure));
}

// Restoring what looks best one by one can take the model further away than quantization did: such points would hide all others.
constexpr double kLeastShown = -0.1;

void add_shares(const OutlierResult& result, const std::string& subtitle, std::vector<NamedFigure>& figures) {
  for (const OutlierDamage& damage : result.damages) {
    std::map<std::string, Line> lines;
    std::string beyond;
    for (const OutlierShare& one : result.shares) {
      if (one.type != damage.type || one.draw > 0) continue;
      if (one.share.value < kLeastShown) {
        beyond +=
            fmt::format("{}{}, k = {}: {:.0f} %", beyond.empty() ? "further below: " : "; ", one.selection, one.k, 100 * one.share.value);
        continue;
      }
      Line& line = lines[one.selection];
      line.name = one.selection;
      const PlotRange band{100 * one.share.low, 100 * one.share.high};
      line.points.push_back({static_cast<double>(one.k), 100 * one.share.value, one.selection == "outliers" ? band : PlotRange{}});
    }
    if (lines.empty()) continue;
    Figure figure{.title = "Damage of " + damage.type + " undone by restoring k weights", .subtitle = subtitle};
    figure.x = {"weights restored", "", AxisScale::kLog10};
    figure.y = {"share of the damage", "%"};
    for (auto& [name, line] : lines) figure.series.emplace_back(std::move(line));
    figure.references.push_back({ReferenceKind::kHorizontal, 1, "1 %"});
    figure.footnote = beyond;
    figures.emplace_back("shares_" + damage.type, std::move(figure));
  }
}

void add_patches(const OutlierResult& result, const std::string& subtitle, std::vector<NamedFigure>& figures) {
  Figure figure{.title = "Recovered by patching the stream at the first changed block", .subtitle = subtitle};
  figure.x = {"recovered part of the damage", "%"};
  figure.y.scale = AxisScale::kCategories;
  std::map<std::string, Bars> forms;
  for (const size_t row : result.strongest) {
    const bool any = std::any_of(result.patches.begin(), result.patches.end(), [&](const OutlierPatch& one) { return one.row == row; });
    if (!any) continue;
    figure.y.categories.push_back(short_name(result, row));
    for (const OutlierPatch& one : result.patches) {
      if (one.row != row || one.form == "replace") continue;
      const std::string name = one.form == "rank" ? "rank " + std::to_string(one.rank) : one.form;
      forms[name].name = name;
      forms[name].bars.push_back({100 * one.recovery.value, {100 * one.recovery.low, 100 * one.recovery.high}});
    }
  }
  for (auto& [name, bars] : forms)
    if (bars.bars.size() == figure.y.categories.size() && name != "patch_all_seed") figure.series.emplace_back(std::move(bars));
  if (!figure.series.empty()) figures.emplace_back("patches", std::move(figure));
}

}  // namespace

Result<std::vector<std::string>> write_figures(const OutlierResult& result, const std::string& directory, const std::string& subtitle,
                                               const OutputOptions& options) {
  std::vector<NamedFigure> figures;
  add_doses(result, subtitle, figures);
  add_perturbation(result, subtitle, figures);
  add_labels(result, subtitle, figures);
  add_controls(result, subtitle, figures);
  add_shares(result, subtitle, figures);
  add_patches(result, subtitle, figures);
  return write_figures(directory, figures, options);
}

}  // namespace assay
