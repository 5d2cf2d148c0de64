// `assay study pqi`.
#include <fmt/format.h>

#include <algorithm>

#include "assay/base/text.h"
#include "assay/study/pqi_analysis.h"
#include "assay/study/pqi_figures.h"
#include "cli/study.h"
#include "cli/table.h"

namespace assay::cli {
namespace {

std::string number(double value) { return fmt::format("{:.4g}", value); }
std::string percent(double part) { return fmt::format("{:.4g} %", 100 * part); }

void add_orders(const PqiOfType& one, std::string& text) {
  Table table({one.type + ": quantized", "first order", "second order", "Fisher diagonal", "measured change", "(first + second) / measured",
               "in the integral"});
  const auto add = [&](const PqiOrders& row) {
    table.add({row.name, estimate_text(row.first), estimate_text(row.second), number(row.fisher), estimate_text(row.change),
               estimate_text(row.share), number(row.contribution)});
  };
  for (const PqiOrders& row : one.layers) add(row);
  if (one.layers.size() > 1) add(sum_of(one.layers));
  add(one.all);
  text += table.text() + "\n";
}

void add_steps(const PqiOfType& one, std::string& text) {
  Table table({one.type + ": lambda", "measured change", "first order", "first + second", "curvature c"});
  for (const PqiStep& step : one.steps)
    table.add({number(step.lambda), estimate_text(step.change), number(step.first), number(step.first + step.second),
               estimate_text(step.curvature)});
  text += table.text() + "\n";
}

void add_closure(const PqiOfType& one, std::string& text) {
  Table table({one.type + ": rule", "N", "gradients", "predicted", "error", "error / measured"});
  for (const PqiClosure& row : one.closure)
    table.add({row.rule, std::to_string(row.intervals), std::to_string(row.points), estimate_text(row.predicted), estimate_text(row.error),
               percent(row.error.value / one.all.change.value)});
  text += table.text() + "\n";
}

// Averages of one form in units of 1e-9, a row per layer and a column per role.
void add_averages(const PqiOfType& one, const char* form, double PqiMatrix::* sum, std::string& text) {
  std::vector<std::string> roles, header = {fmt::format("{}: {}, 1e-9 per weight", one.type, form)};
  std::vector<int> layers;
  for (const PqiMatrix& matrix : one.matrices) {
    if (std::find(roles.begin(), roles.end(), matrix.role) == roles.end()) roles.push_back(matrix.role);
    if (std::find(layers.begin(), layers.end(), matrix.layer) == layers.end()) layers.push_back(matrix.layer);
  }
  header.insert(header.end(), roles.begin(), roles.end());
  Table table(header);
  for (const int layer : layers) {
    std::vector<std::string> row = {"blk." + std::to_string(layer)};
    for (const std::string& role : roles) {
      const auto found = std::find_if(one.matrices.begin(), one.matrices.end(),
                                      [&](const PqiMatrix& matrix) { return matrix.layer == layer && matrix.role == role; });
      row.push_back(found == one.matrices.end() ? "" : number(1e9 * ((*found).*sum) / static_cast<double>(found->elements)));
    }
    table.add(std::move(row));
  }
  text += table.text() + "\n";
}

void add_weights(const PqiOfType& one, std::string& text) {
  Table coverage({one.type + ": largest |c|", "hold of the total"});
  for (const PqiCoverage& row : one.coverage) coverage.add({percent(row.top), percent(row.share)});
  text += coverage.text() + "\n";
  std::vector<std::string> header = {one.type + ": weights by", "and by", "Spearman"};
  for (const double part : kTopParts) header.push_back("same top " + percent(part));
  Table table(header);
  for (const PqiAgreement& row : one.agreements) {
    std::vector<std::string> cells = {row.measure, row.with, row.spearman ? fmt::format("{:.3f}", *row.spearman) : ""};
    for (const double part : kTopParts) {
      const auto found = std::find_if(row.overlaps.begin(), row.overlaps.end(), [&](const auto& overlap) { return overlap.first == part; });
      cells.push_back(found == row.overlaps.end() ? "" : fmt::format("{:.1f} %", 100 * found->second));
    }
    table.add(std::move(cells));
  }
  text += table.text() + fmt::format("({} of {} weights compared)\n\n", group_digits(one.sampled), group_digits(one.elements));
}

void add_cost(const StudyPqiResult& study, std::string& text) {
  Table table({"cost: windows", "one gradient, s", "one forward, s", "gradient in forwards",
               fmt::format("N = {}, s", study.result.intervals), "in forwards of a window"});
  for (const PqiCost& cost : study.cost) {
    const double ratio = cost.gradient_seconds / cost.forward_seconds;
    table.add({std::to_string(cost.windows), number(cost.gradient_seconds), number(cost.forward_seconds), number(ratio),
               number(study.result.intervals * cost.gradient_seconds),
               number(study.result.intervals * ratio * static_cast<double>(cost.windows))});
  }
  text += table.text();
}

std::string text_of(const StudyPqiResult& study) {
  const PqiStudyResult& result = study.result;
  std::string text;
  for (const PqiOfType& one : result.types) {
    add_orders(one, text);
    add_steps(one, text);
    add_closure(one, text);
    add_averages(one, "|c| after the total", &PqiMatrix::abs_total, text);
    add_averages(one, "per step", &PqiMatrix::abs_per_step, text);
    add_averages(one, "per step and sequence", &PqiMatrix::abs_per_sequence, text);
    add_weights(one, text);
  }
  add_cost(study, text);
  text += verdicts_text(result.verdicts, result.outcome, result.post_hoc);
  text += fmt::format("{} windows, {} tokens scored; changes in nats per token, 95 % intervals over {}; integral: {} rule, N = {}\n",
                      result.windows, group_digits(result.tokens_scored), result.interval, result.rule, result.intervals);
  for (const std::string& note : result.notes) text += "note: " + note + "\n";
  return text;
}

struct Options {
  std::string types, rules;
  int intervals = 0;
};

Result<StudyPqiOptions> prepared(const Options& own, const StudyOptions& shared, const Common& common) {
  StudyPqiOptions study;
  study.model = shared.model;
  study.quick = shared.quick;
  study.text = {shared.text->path, shared.text->windows};
  PqiConfig& config = study.config;
  if (!shared.config.empty()) {
    ASSAY_ASSIGN(config, read_pqi_config(shared.config));
  }
  if (!own.types.empty()) {
    ASSAY_ASSIGN(config.types, parse_types(own.types));
  }
  if (!own.rules.empty()) {
    ASSAY_ASSIGN(config.rules, parse_rules(own.rules));
  }
  if (own.intervals != 0) config.intervals = own.intervals;
  if (!shared.layers.empty()) {
    ASSAY_ASSIGN(config.layers, parse_layers(shared.layers));
  }
  if (common.seed != 0) config.seed = common.seed;
  return study;
}

Json cost_json(const StudyPqiResult& study) {
  Json list = Json::array();
  for (const PqiCost& cost : study.cost)
    list.push_back({{"windows", cost.windows}, {"gradient_seconds", cost.gradient_seconds}, {"forward_seconds", cost.forward_seconds}});
  return list;
}

}  // namespace

StudyRun declare_study_pqi(CLI::App& app) {
  auto own = std::make_shared<Options>();
  app.add_option("--types", own->types, "ggml types to quantize to, comma-separated (Q2_K,Q4_K,Q8_0; with --quick Q4_K)");
  app.add_option("--intervals", own->intervals, "N of the integral and the largest of the closure table (32; with --quick 8)")
      ->check(CLI::Range(1, 4096));
  app.add_option("--rules", own->rules, "midpoint,left,right,simpson,gauss: the first integrates, all are in the closure table (all)");
  return [=](const StudyOptions& shared, Context& context) -> Result<Outcome> {
    ASSAY_TRY(context.begin({shared.model, shared.text->path, shared.config}));
    ASSAY_ASSIGN(const StudyPqiOptions study, prepared(*own, shared, context.common));
    const ResultsDirectory results(shared.results, context.common);
    ASSAY_TRY(results.prepare({"report.json", "report.txt"}));
    ASSAY_ASSIGN(Engine * engine, context.engine());
    ASSAY_ASSIGN(const StudyPqiResult made, engine->study_pqi(study, context.settings, context.progress));
    Outcome outcome;
    outcome.inputs = {shared.model, shared.text->path, shared.config};
    outcome.result = to_json(made.result);
    add_run(made.stage_seconds, made.units, outcome);
    outcome.run_facts["cost"] = cost_json(made);
    outcome.text = text_of(made);
    const auto draw = [&](const std::string& subtitle) { return write_figures(made.result, results.path(), subtitle, results.output()); };
    ASSAY_TRY(write_results(results, shared.model, fmt::format("{} windows, {} tokens", made.result.windows, made.result.tokens_scored), {},
                            draw, outcome));
    return outcome;
  };
}

}  // namespace assay::cli
