// `assay study proxies`.
#include <fmt/format.h>

#include <algorithm>

#include "assay/base/text.h"
#include "assay/study/proxies_figures.h"
#include "cli/study.h"
#include "cli/table.h"

namespace assay::cli {
namespace {

std::string number(double value) { return fmt::format("{:.4g}", value); }
std::string interval_of(const Interval& interval) { return fmt::format("[{:.4g}, {:.4g}]", interval.low, interval.high); }

std::string variants_text(const ProxiesResult& result) {
  std::vector<std::string> header = {"changed model"};
  for (size_t p = 0; p < kProxies; ++p) header.emplace_back(name_of(static_cast<Proxy>(p)));
  header.insert(header.end(), {"acc drop, points", "margin drop, nats", "95 % interval", "choices changed, %"});
  Table table(header);
  for (const ProxyVariant& variant : result.variants) {
    std::vector<std::string> row = {variant.name};
    for (const double proxy : variant.proxies) row.push_back(number(proxy));
    const auto at = [](TaskOutcome outcome) { return static_cast<size_t>(outcome); };
    row.push_back(fmt::format("{:+.2f}", 100 * variant.outcomes[at(TaskOutcome::kAccuracy)]));
    row.push_back(fmt::format("{:+.4f}", variant.outcomes[at(TaskOutcome::kMargin)]));
    row.push_back(interval_of(variant.intervals[at(TaskOutcome::kMargin)]));
    row.push_back(fmt::format("{:.2f}", 100 * variant.outcomes[at(TaskOutcome::kChoices)]));
    table.add(std::move(row));
  }
  return table.text();
}

std::string correlations_text(const ProxiesResult& result) {
  Table table({"outcome", "models", "proxy", "Spearman", "over items", "over models", "Kendall", "over items", "over models"});
  for (const ProxyCorrelation& one : result.correlations) {
    std::vector<std::string> row = {std::string(name_of(one.outcome)), std::string(name_of(one.group)), std::string(name_of(one.proxy))};
    for (const auto& estimate : {one.spearman, one.kendall}) {
      row.push_back(estimate ? fmt::format("{:+.3f}", estimate->value) : "all equal");
      row.push_back(estimate ? interval_text(estimate->over_items) : "");
      row.push_back(estimate ? interval_text(estimate->over_variants) : "");
    }
    table.add(std::move(row));
  }
  return table.text();
}

std::string claims_text(const ProxiesResult& result) {
  Table table({"outcome", "models", "number", "detectable rho", "reliability", "proxies do not predict tasks", "predicting"});
  for (const ProxyClaim& claim : result.claims) {
    std::vector<std::string> predicting;
    for (const Proxy proxy : claim.predicting) predicting.emplace_back(name_of(proxy));
    table.add({std::string(name_of(claim.outcome)), std::string(name_of(claim.group)), std::to_string(claim.variants),
               fmt::format("{:.3f}", claim.smallest_detectable), claim.reliability ? fmt::format("{:.3f}", *claim.reliability) : "",
               std::string(name_of(claim.verdict)), join(predicting, ", ")});
  }
  return table.text();
}

std::string text_of(const ProxiesResult& result) {
  std::string text = variants_text(result) + "\n" + correlations_text(result) + "\n" + claims_text(result);
  text += fmt::format("\n\"Proxies do not predict tasks\": {} (margin drop, all models).{}\n", name_of(result.verdict),
                      result.post_hoc ? " The criterion was changed after the first measurement: post hoc." : "");
  text += fmt::format(
      "refuted: Spearman of some proxy is at least {:g} by its whole interval, over items and over models, wide enough for {} proxies at "
      "once;\nsupported: every proxy's interval ends below that, at a reliability of 0.5 or more; else underpowered. Positive: more damage "
      "by the proxy, more on tasks.\n"
      "detectable rho: found with 80 % power at the one-sided 5 % level, by the number of models; reliability: of the outcome's ranks, "
      "from "
      "two\nhalves of the items; mild: models with at most the median KL\n",
      result.predicts, kProxies);
  uint64_t items = 0;
  for (const uint64_t one : result.items) items += one;
  text += fmt::format("{} items of {} tasks, {} windows, {} tokens scored\n", group_digits(items), result.tasks.size(), result.windows,
                      group_digits(result.tokens_scored));
  for (const std::string& note : result.notes) text += "note: " + note + "\n";
  return text;
}

struct Options {
  std::vector<std::string> tasks;
  uint64_t items = 0;
};

Result<StudyProxiesOptions> prepared(const Options& own, const StudyOptions& shared, const Common& common) {
  StudyProxiesOptions study;
  study.model = shared.model;
  study.text = {shared.text->path, shared.text->windows};
  study.tasks = own.tasks;
  study.config = default_proxies_config(shared.quick);
  if (!shared.config.empty()) {
    ASSAY_ASSIGN(study.config, read_proxies_config(shared.config, study.config));
  }
  if (own.items != 0) study.config.items = own.items;
  if (!shared.layers.empty()) {
    ASSAY_ASSIGN(study.config.layers, parse_layers(shared.layers));
  }
  if (common.seed != 0) study.config.seed = common.seed;
  return study;
}

}  // namespace

StudyRun declare_study_proxies(CLI::App& app) {
  auto own = std::make_shared<Options>();
  app.add_option("--tasks", own->tasks, "files of multiple-choice items (see eval --tasks)")->check(CLI::ExistingFile);
  app.add_option("--items", own->items, "the first N items of each (200; with --quick 20)");
  return [=](const StudyOptions& shared, Context& context) -> Result<Outcome> {
    Outcome outcome;
    outcome.inputs = {shared.model, shared.text->path, shared.config};
    outcome.inputs.insert(outcome.inputs.end(), own->tasks.begin(), own->tasks.end());
    ASSAY_ASSIGN(const StudyProxiesOptions study, prepared(*own, shared, context.common));
    ASSAY_TRY(context.begin(outcome.inputs));
    const ResultsDirectory results(shared.results, context.common);
    ASSAY_TRY(results.prepare({"report.json", "report.txt", "proxies.svg", "proxies.png"}));
    ASSAY_ASSIGN(Engine * engine, context.engine());
    ASSAY_ASSIGN(const StudyProxiesResult made, engine->study_proxies(study, context.settings, context.progress));
    outcome.result = to_json(made.result);
    add_run(made.stage_seconds, made.units, outcome);
    outcome.text = text_of(made.result);
    const auto draw = [&](const std::string& subtitle) { return write_figures(made.result, results.path(), subtitle, results.output()); };
    ASSAY_TRY(write_results(results, shared.model,
                            fmt::format("{} changed models, {} tasks", made.result.variants.size(), made.result.tasks.size()), {}, draw,
                            outcome));
    return outcome;
  };
}

}  // namespace assay::cli
