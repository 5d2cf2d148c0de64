// `assay study qpsa`.
#include <fmt/format.h>

#include <filesystem>

#include "assay/base/text.h"
#include "assay/study/qpsa_figures.h"
#include "cli/results.h"
#include "cli/study.h"
#include "cli/table.h"

namespace assay::cli {
namespace {

void add_layers(const QpsaResult& result, std::string& text) {
  std::vector<std::string> header = {"layer"};
  for (const QpsaMethod& method : result.methods)
    if (!method.scores.empty()) header.push_back(method.name);
  if (header.size() == 1) return;
  if (!result.quadrants.empty()) header.emplace_back("quadrant");
  Table table(header);
  for (int layer = 0; layer < result.layers; ++layer) {
    const auto at = static_cast<size_t>(layer);
    std::vector<std::string> row = {std::to_string(layer)};
    for (const QpsaMethod& method : result.methods) {
      if (method.scores.empty()) continue;
      std::string cell = std::isfinite(method.scores[at]) ? fmt::format("{:.3g}", method.scores[at]) : "";
      if (!method.errors.empty()) cell += fmt::format(" +- {:.1g}", method.errors[at]);
      row.push_back(std::move(cell));
    }
    if (!result.quadrants.empty()) row.push_back(result.quadrants[at]);
    table.add(std::move(row));
  }
  text += table.text() + "\n";
}

void add_pruning(const QpsaResult& result, std::string& text) {
  if (result.pruning.empty()) return;
  std::vector<int> ks;
  std::vector<std::string> methods;
  for (const QpsaPruning& one : result.pruning) {
    if (std::find(ks.begin(), ks.end(), one.k) == ks.end()) ks.push_back(one.k);
    if (std::find(methods.begin(), methods.end(), one.method) == methods.end()) methods.push_back(one.method);
  }
  std::sort(ks.begin(), ks.end());
  std::vector<std::string> header = {"perplexity ratio without the K least important"};
  for (const int k : ks) header.push_back("K=" + std::to_string(k));
  Table table(header);
  for (const std::string& method : methods) {
    std::vector<std::string> row = {method};
    for (const int k : ks) {
      std::string cell;
      for (const QpsaPruning& one : result.pruning)
        if (one.method == method && one.k == k) cell = fmt::format("{:.4g}{}", one.ppl_ratio, interval_text(one.quartiles));
      row.push_back(std::move(cell));
    }
    table.add(std::move(row));
  }
  text += table.text() + "\n";
}

void add_regions(const QpsaResult& result, std::string& text) {
  if (result.regions.empty()) return;
  Table table({"bytes of", "region", "share of bytes", "share of score", "weights changed", "not finite"});
  for (const QpsaRegion& one : result.regions)
    table.add({one.type, one.region, fmt::format("{:.1f} %", 100 * one.share_of_bytes), fmt::format("{:.1f} %", 100 * one.share_of_score),
               fmt::format("{:.1f}", one.mean_weights_changed), group_digits(one.non_finite)});
  text += table.text() + "\n";
}

void add_convergence(const QpsaResult& result, std::string& text) {
  if (result.convergence.empty()) return;
  const auto number = [](const std::optional<double>& value) { return value ? fmt::format("{:.3f}", *value) : ""; };
  Table table({"convergence", "N", "rho to the largest", "split half", "relative error", "same top 4", "same bottom 5"});
  for (const QpsaConvergence& one : result.convergence)
    table.add({one.method, group_digits(one.samples), number(one.rho_to_largest), number(one.split_half),
               fmt::format("{:.1f} %", 100 * one.mean_relative_error), one.same_top_4 ? "yes" : "no", one.same_bottom_5 ? "yes" : "no"});
  text += table.text() + "\n";
}

void add_shortcut(const QpsaResult& result, std::string& text) {
  if (!result.shortcut) return;
  const QpsaShortcut& s = *result.shortcut;
  text += fmt::format(
      "One gradient in place of {} runs ({:.0f} times cheaper): |g step| against {} measured weights: rho {:.4f}, sum ratio {:.4f}, second "
      "order {:.1f} %; layer scores rho {:.3f} on the same samples, {:.3f} between the samples and all {} weights.\n",
      group_digits(static_cast<uint64_t>(s.naive_forward_equivalents)), s.naive_forward_equivalents / s.forward_equivalents,
      group_digits(s.weights_compared), s.rho_weights.value_or(0), s.sum_ratio, 100 * s.second_order_share, s.rho_layers_same.value_or(0),
      s.rho_layers_all.value_or(0), group_digits(s.weights_scored));
}

std::string text_of(const StudyQpsaResult& study) {
  const QpsaResult& result = study.result;
  std::string text;
  add_layers(result, text);
  add_regions(result, text);
  add_pruning(result, text);
  add_convergence(result, text);
  add_shortcut(result, text);
  text += verdicts_text(result.verdicts, result.outcome, result.post_hoc);
  text += fmt::format(
      "perplexity {:.4f} on {} tokens, noise floor {:.2g}; {} samples per matrix, {} of them not finite; {:.0f} forward passes\n",
      result.base_ppl, group_digits(result.tokens_scored), result.noise_floor, group_digits(result.samples),
      group_digits(result.non_finite), study.forward_equivalents);
  for (const std::string& note : result.notes) text += "note: " + note + "\n";
  return text;
}

struct Options {
  StudyQpsaOptions study;
  std::string rankings, only, methods, k;
  std::optional<uint64_t> samples;
};

Status prepare(Options& options, const StudyOptions& shared, const Common& common) {
  options.study.model = shared.model;
  options.study.quick = shared.quick;
  QpsaConfig& config = options.study.config;
  if (!shared.config.empty()) {
    ASSAY_ASSIGN(config, read_qpsa_config(shared.config));
  }
  if (options.samples) config.samples = *options.samples;
  if (!shared.layers.empty()) {
    ASSAY_ASSIGN(config.layers, parse_layers(shared.layers));
  }
  if (!options.methods.empty()) config.methods = split(options.methods, ',');
  if (!options.k.empty()) {
    config.k.clear();
    for (const std::string& one : split(options.k, ',')) config.k.push_back(std::atoi(one.c_str()));
    if (std::any_of(config.k.begin(), config.k.end(), [](int k) { return k < 1; }))
      return fail(ErrorCode::kUsage, {"--k", "is " + printable(options.k), "numbers of layers, e.g. 1,2,4,8", ""});
  }
  if (!options.rankings.empty()) {
    ASSAY_ASSIGN(config.rankings, read_rankings(options.rankings));
  }
  if (common.seed != 0) config.seed = common.seed;
  using Only = StudyQpsaOptions::Only;
  const std::map<std::string, Only> stages = {{"", Only::kAll},        {"score", Only::kScore}, {"baseline", Only::kBaseline},
                                              {"prune", Only::kPrune}, {"loop", Only::kLoop},   {"convergence", Only::kConvergence}};
  options.study.only = stages.at(options.only);
  options.study.text = {shared.text->path, shared.text->windows};
  if (options.study.text.windows.max_tokens == 0 && options.study.text.windows.chunks == 0) options.study.text.windows.max_tokens = 500;
  return {};
}

Status write_results(const std::string& model, const QpsaResult& result, const ResultsDirectory& results, Outcome& outcome) {
  const std::string subtitle = fmt::format("{}, {} tokens, {} samples per matrix", std::filesystem::path(model).filename().string(),
                                           result.tokens_scored, result.samples);
  const OutputOptions output = results.output();
  ASSAY_ASSIGN(const std::vector<std::string> figures, write_figures(result, results.path(), subtitle, output));
  Json rankings = Json::object();
  for (const QpsaMethod& method : result.methods) rankings[method.name] = method.ranking;
  ASSAY_TRY(write_text_file(results.file("rankings.json"), rankings.dump(1) + "\n", output));
  ASSAY_TRY(write_text_file(results.file("report.txt"), outcome.text, output));
  outcome.report_file = results.file("report.json");
  outcome.text += fmt::format("report.json, report.txt, rankings.json and {} figures in {}\n", figures.size() / 2, results.path());
  return {};
}

}  // namespace

StudyRun declare_study_qpsa(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("--only", options->only, "one stage and what it needs")
      ->check(CLI::IsMember({"score", "baseline", "prune", "loop", "convergence"}));
  app.add_option("--methods", options->methods, "scores to make, comma-separated: qpsa_byte,qpsa_level");
  app.add_option("--rankings", options->rankings, "JSON file {method: [layers, most important first]}");
  app.add_option("--k", options->k, "layers to leave out, e.g. 1,2,4,8");
  app.add_option("--samples-per-matrix", options->samples, "weights and bytes drawn from each matrix");
  return [=](const StudyOptions& shared, Context& context) -> Result<Outcome> {
    ASSAY_TRY(context.begin({shared.model, shared.text->path, shared.config, options->rankings}));
    ASSAY_TRY(prepare(*options, shared, context.common));
    const ResultsDirectory results(shared.results, context.common);
    ASSAY_TRY(results.prepare({"report.json", "report.txt", "rankings.json"}));
    ASSAY_ASSIGN(Engine * engine, context.engine());
    ASSAY_ASSIGN(const StudyQpsaResult result, engine->study_qpsa(options->study, context.settings, context.progress));
    Outcome outcome;
    outcome.inputs = {shared.model, options->study.text.path, shared.config, options->rankings};
    outcome.noise_floor = result.result.noise_floor;
    outcome.result = to_json(result.result);
    add_run(result.stage_seconds, result.units, outcome);
    outcome.run_facts["forward_equivalents"] = result.forward_equivalents;
    outcome.text = text_of(result);
    if (results.wanted()) ASSAY_TRY(write_results(shared.model, result.result, results, outcome));
    return outcome;
  };
}

}  // namespace assay::cli
