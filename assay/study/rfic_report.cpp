#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "assay/report/figure.h"
#include "assay/study/estimate_json.h"
#include "assay/study/rfic_study.h"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

Json ppl_json(const UnpairedPpl& ppl) { return {{"ppl", ppl.value}, {"error", ppl.error}}; }

Json candidate_json(const RficCandidate& one) {
  return {{"tensor", one.tensor},   {"layer", one.layer},   {"rule", name_of(one.rule)}, {"group", one.group},
          {"row", one.row},         {"column", one.column}, {"weight", one.weight},      {"empty", one.empty},
          {"benefit", one.benefit}, {"harm", one.harm},     {"score", one.score}};
}

// A line through the front from the left edge of its points.
Line front_line(const RficResult& result, const std::vector<bool>& shown) {
  Line line{"Pareto front", {}};
  for (const size_t i : result.front)
    if (shown[i]) line.points.push_back({result.candidates[i].harm, result.candidates[i].benefit, {}});
  return line;
}

// Harms span decades: the axis is logarithmic where one is not 0.
bool has_positive(const RficResult& result, const std::vector<bool>& shown) {
  for (size_t i = 0; i < shown.size(); ++i)
    if (shown[i] && result.candidates[i].harm > 0) return true;
  return false;
}

Figure scatter(const RficResult& result, const std::string& subtitle, const std::vector<bool>& shown, const std::string& title) {
  Figure figure;
  figure.title = title;
  figure.subtitle = subtitle;
  figure.x = {"harm A", "relative error of the group's output"};
  figure.y = {"benefit B", "relative error"};
  if (has_positive(result, shown)) figure.x.scale = AxisScale::kLog10;
  for (const RficRule rule : kRficRules) {
    Points points{"rule " + std::string(name_of(rule)), {}};
    for (size_t i = 0; i < result.candidates.size(); ++i)
      if (shown[i] && result.candidates[i].rule == rule)
        points.points.push_back({result.candidates[i].harm, result.candidates[i].benefit, {}, {}, ""});
    if (!points.points.empty()) figure.series.emplace_back(std::move(points));
  }
  if (Line line = front_line(result, shown); !line.points.empty()) figure.series.emplace_back(std::move(line));
  figure.references.push_back({ReferenceKind::kHorizontal, 0, "no benefit"});
  return figure;
}

}  // namespace

Json to_json(const RficResult& result) {
  Json candidates = Json::array(), summary = Json::array(), gate = Json::array(), checks = Json::array();
  for (const RficCandidate& one : result.candidates) candidates.push_back(candidate_json(one));
  for (const RficSummary& row : result.summary)
    summary.push_back({{"tensor", row.tensor},
                       {"layer", row.layer},
                       {"rule", name_of(row.rule)},
                       {"candidates", row.candidates},
                       {"positive", row.positive},
                       {"gated", row.gated},
                       {"median_harm", row.median_harm},
                       {"best_benefit", row.best_benefit},
                       {"best_score", row.best_score}});
  for (const RficGate& row : result.gate)
    gate.push_back({{"candidate", row.candidate},
                    {"kl_improvement", row.kl_improvement.value},
                    {"kl_improvement_ci95", bounds(row.kl_improvement)},
                    {"ppl_improvement", row.ppl_improvement},
                    {"zero_kl", row.zero_kl}});
  for (const RficCheck& check : result.checks)
    checks.push_back({{"method", check.method},
                      {"plain", ppl_json(check.plain)},
                      {"quantized", ppl_json(check.quantized)},
                      {"zero_quantized", ppl_json(check.zero_quantized)},
                      {"zero_only", ppl_json(check.zero_only)},
                      {"quantized_kl", check.quantized_kl.value},
                      {"quantized_kl_ci95", bounds(check.quantized_kl)},
                      {"zero_quantized_kl", check.zero_quantized_kl.value},
                      {"zero_quantized_kl_ci95", bounds(check.zero_quantized_kl)},
                      {"zero_change", check.zero_change.value},
                      {"zero_change_ci95", bounds(check.zero_change)},
                      {"plain_change", check.plain_change.value},
                      {"plain_change_ci95", bounds(check.plain_change)},
                      {"source_verdict", check.source_verdict},
                      {"verdict", check.verdict}});
  return {{"study", "rfic"},
          {"config", result.config_name},
          {"tensors", result.tensors},
          {"screen_tokens", result.screen_tokens},
          {"candidates", std::move(candidates)},
          {"front", result.front},
          {"summary", std::move(summary)},
          {"gate_baseline_kl", result.gate_baseline_kl},
          {"gate", std::move(gate)},
          {"zeroed", result.zeroed},
          {"checks", std::move(checks)},
          {"windows", result.windows},
          {"documents", result.documents},
          {"tokens_scored", result.tokens_scored},
          {"interval", result.interval},
          {"notes", result.notes}};
}

std::string candidates_csv(const RficResult& result) {
  std::string text = "tensor,layer,rule,group,row,column,weight,empty,benefit,harm,score,front,zeroed\n";
  for (size_t i = 0; i < result.candidates.size(); ++i) {
    const RficCandidate& one = result.candidates[i];
    text += fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{}\n", one.tensor, one.layer, name_of(one.rule), one.group, one.row,
                        one.column, one.weight, one.empty, one.benefit, one.harm, one.score, std::ranges::count(result.front, i),
                        std::ranges::count(result.zeroed, i));
  }
  return text;
}

Result<std::vector<std::string>> write_figures(const RficResult& result, const std::string& directory, const std::string& subtitle,
                                               const OutputOptions& options) {
  std::vector<NamedFigure> figures;
  std::vector<bool> all(result.candidates.size(), true), zoom(result.candidates.size(), false);
  for (size_t i = 0; i < zoom.size(); ++i) {
    const RficCandidate& one = result.candidates[i];
    const auto row =
        std::ranges::find_if(result.summary, [&](const RficSummary& s) { return s.tensor == one.tensor && s.rule == one.rule; });
    zoom[i] = row != result.summary.end() && one.benefit > 0 && one.harm < row->median_harm;
  }
  if (!all.empty())
    figures.emplace_back("benefit_harm", scatter(result, subtitle, all, "Zeroing one weight before quantization: benefit and harm"));
  if (std::ranges::count(zoom, true) > 0) {
    figures.emplace_back("benefit_harm_zoom", scatter(result, subtitle, zoom, "Those that gain and harm less than the median"));
  }
  if (!result.checks.empty()) {
    Figure figure;
    figure.title = "What zeroing does to the loss of the full model";
    figure.subtitle = subtitle;
    figure.x = {"change", "1e-3 nats per token"};
    figure.y.scale = AxisScale::kCategories;
    Bars bars{"", {}};
    const auto add = [&](const std::string& name, const Interval& change) {
      figure.y.categories.push_back(name);
      bars.bars.push_back({1e3 * change.value, {1e3 * change.low, 1e3 * change.high}});
    };
    add("unquantized", result.checks[0].plain_change);
    for (const RficCheck& check : result.checks) add(check.method, check.zero_change);
    figure.series = {std::move(bars)};
    figures.emplace_back("check", std::move(figure));
  }
  return write_figures(directory, figures, options);
}

}  // namespace assay
