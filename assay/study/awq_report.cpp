#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "assay/report/figure.h"
#include "assay/study/awq_study.h"
#include "assay/study/estimate_json.h"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

void add_alpha(const AwqStudyResult& result, const std::string& subtitle, std::vector<NamedFigure>& figures) {
  if (result.curves.empty()) return;
  Figure figure{.title = "Error of outputs under s(alpha), mean over the blocks", .subtitle = subtitle + ", " + result.curves[0].target};
  figure.x = {"alpha"};
  figure.y = {"error over that at alpha 0"};
  for (const AwqCurve& curve : result.curves) {
    if (curve.target != result.curves[0].target) continue;
    Line line{curve.place, {}};
    for (size_t i = 0; i < curve.losses.size(); ++i)
      line.points.push_back({static_cast<double>(i) / static_cast<double>(curve.losses.size() - 1), curve.losses[i], {}});
    figure.series.emplace_back(std::move(line));
  }
  figure.references.push_back({ReferenceKind::kHorizontal, 1, "plain rounding"});
  figures.emplace_back("alpha", std::move(figure));
}

void add_channels(const AwqStudyResult& result, const std::string& subtitle, std::vector<NamedFigure>& figures) {
  if (result.channels.empty()) return;
  Figure figure{.title = "Salient channels of the middle block", .subtitle = subtitle};
  figure.x = {"channel, the most active first", "share of all"};
  figure.y = {"mean |x| over its mean", "", AxisScale::kLog10};
  for (const AwqChannels& some : result.channels) {
    Line line{some.place, {}, false};
    double mean = 0;
    for (const double value : some.mean) mean += value / static_cast<double>(some.mean.size());
    for (size_t i = 0; i < some.mean.size(); ++i)
      line.points.push_back({static_cast<double>(i + 1) / static_cast<double>(some.mean.size()), some.mean[i] / mean, {}});
    figure.series.emplace_back(std::move(line));
  }
  figures.emplace_back("channels", std::move(figure));
}

void add_clips(const AwqStudyResult& result, const std::string& subtitle, std::vector<NamedFigure>& figures) {
  if (result.clip_shares.empty()) return;
  Figure figure{.title = "What the clip search keeps of a group's largest |w|", .subtitle = subtitle};
  figure.x = {"kept"};
  figure.x.scale = AxisScale::kCategories;
  figure.y = {"share of groups"};
  Bars bars{"", {}};
  for (size_t i = 0; i < result.clip_shares.size(); ++i) {
    figure.x.categories.push_back(fmt::format("{:.2f}", 1 - 0.05 * static_cast<double>(i)));
    bars.bars.push_back({result.clip_shares[i], {}});
  }
  figure.series = {std::move(bars)};
  figures.emplace_back("clips", std::move(figure));
}

void add_change(const AwqStudyResult& result, const std::string& subtitle, std::vector<NamedFigure>& figures) {
  Figure figure{.title = "Change of KL by AWQ", .subtitle = subtitle};
  figure.x = {"change of mean KL", "%"};
  figure.y.scale = AxisScale::kCategories;
  Bars bars{"", {}};
  for (const AwqRow& row : result.rows) {
    if (row.against.empty() || row.method == "imatrix") continue;
    figure.y.categories.push_back(row.target + ": " + row.method);
    bars.bars.push_back({100 * row.change.value, {100 * row.change.low, 100 * row.change.high}});
  }
  if (bars.bars.empty()) return;
  figure.height = 60 + 22.0 * static_cast<double>(bars.bars.size());
  figure.series = {std::move(bars)};
  figures.emplace_back("change", std::move(figure));
}

}  // namespace

Json to_json(const AwqStudyResult& result) {
  Json rows = Json::array(), curves = Json::array(), channels = Json::array();
  for (const AwqRow& row : result.rows)
    rows.push_back({{"target", row.target},
                    {"method", row.method},
                    {"against", row.against.empty() ? Json() : Json(row.against)},
                    {"kl", row.kl.value},
                    {"kl_ci95", bounds(row.kl)},
                    {"ppl", row.ppl},
                    {"change", row.against.empty() ? Json() : Json(row.change.value)},
                    {"change_ci95", row.against.empty() ? Json() : bounds(row.change)}});
  for (const AwqCurve& curve : result.curves)
    curves.push_back({{"target", curve.target}, {"place", curve.place}, {"losses", curve.losses}, {"alphas", curve.alphas}});
  for (const AwqChannels& some : result.channels) channels.push_back({{"place", some.place}, {"mean", some.mean}, {"scale", some.scale}});
  Json json = {{"study", "awq"},
               {"base_ppl", result.base_ppl},
               {"rows", std::move(rows)},
               {"curves", std::move(curves)},
               {"channels", std::move(channels)},
               {"clip_shares", result.clip_shares},
               {"calibration_tokens", result.calibration_tokens},
               {"windows", result.windows},
               {"documents", result.documents},
               {"tokens_scored", result.tokens_scored},
               {"interval", result.interval}};
  put(json, result);
  return json;
}

std::string rows_csv(const AwqStudyResult& result) {
  std::string text = "target,method,against,kl,kl_low,kl_high,ppl,change,change_low,change_high\n";
  for (const AwqRow& row : result.rows) {
    text += fmt::format("\"{}\",\"{}\",\"{}\",{},{},{},{},", row.target, row.method, row.against, row.kl.value, row.kl.low, row.kl.high,
                        row.ppl);
    text += row.against.empty() ? ",,\n" : fmt::format("{},{},{}\n", row.change.value, row.change.low, row.change.high);
  }
  return text;
}

Result<std::vector<std::string>> write_figures(const AwqStudyResult& result, const std::string& directory, const std::string& subtitle,
                                               const OutputOptions& options) {
  std::vector<NamedFigure> figures;
  add_alpha(result, subtitle, figures);
  add_channels(result, subtitle, figures);
  add_clips(result, subtitle, figures);
  add_change(result, subtitle, figures);
  return write_figures(directory, figures, options);
}

}  // namespace assay
