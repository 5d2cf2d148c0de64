// `assay study rfic`.
#include <fmt/format.h>

#include "assay/base/text.h"
#include "cli/study.h"
#include "cli/table.h"

namespace assay::cli {
namespace {

std::string number(double value) { return fmt::format("{:.3g}", value); }
// One window has no interval.
std::string text_of(const Interval& value) {
  if (value.low == value.high) return fmt::format("{:.3g}", value.value);
  return fmt::format("{:.3g} [{:.3g}, {:.3g}]", value.value, value.low, value.high);
}
std::string text_of(const UnpairedPpl& ppl) { return fmt::format("{:.4f} +- {:.4f}", ppl.value, ppl.error); }
std::string place_of(const RficCandidate& one) { return fmt::format("{}[{},{}]", one.tensor, one.row, one.column); }

std::string text_of(const StudyRficResult& study) {
  const RficResult& result = study.result;
  Table summary({"matrix", "rule", "groups", "B > 0", "and harm below the median", "best B", "best score"});
  for (const RficSummary& row : result.summary)
    summary.add({row.tensor, std::string(name_of(row.rule)), std::to_string(row.candidates), std::to_string(row.positive),
                 std::to_string(row.gated), number(row.best_benefit), number(row.best_score)});
  Table front({"Pareto front", "rule", "weight", "harm A", "benefit B"});
  for (const size_t i : result.front) {
    const RficCandidate& one = result.candidates[i];
    front.add({place_of(one), std::string(name_of(one.rule)), number(one.weight), number(one.harm), number(one.benefit)});
  }
  Table gate({"gate", "rule", "KL less by", "perplexity less by", "KL of zeroing alone"});
  for (const RficGate& row : result.gate) {
    const RficCandidate& one = result.candidates[row.candidate];
    gate.add(
        {place_of(one), std::string(name_of(one.rule)), text_of(row.kl_improvement), number(row.ppl_improvement), number(row.zero_kl)});
  }
  std::string text = summary.text() + "\n" + front.text() + "\n" + gate.text();
  if (!result.gate.empty()) text += fmt::format("mean KL with the screened matrices rounded: {:.6g}\n", result.gate_baseline_kl);
  for (const RficCheck& check : result.checks) {
    Table table({check.method + ", " + std::to_string(result.zeroed.size()) + " weights", "perplexity, the source's", "mean KL"});
    table.add({"fp16", text_of(check.plain), "0"});
    table.add({"awq", text_of(check.quantized), text_of(check.quantized_kl)});
    table.add({"zero, then awq", text_of(check.zero_quantized), text_of(check.zero_quantized_kl)});
    table.add({"zero only", text_of(check.zero_only), ""});
    text += "\n" + table.text();
    text += fmt::format("zeroing changes the loss by {} nats per token under {}, by {} unquantized\n", text_of(check.zero_change),
                        check.method, text_of(check.plain_change));
    text += fmt::format("verdict: {} by the source's rule (unpaired, one sigma), {} by paired 95 % intervals\n", check.source_verdict,
                        check.verdict);
  }
  text += fmt::format("\n{} windows, {} tokens scored; 95 % intervals over {}; screen on {} tokens\n", result.windows,
                      group_digits(result.tokens_scored), result.interval.empty() ? "documents" : result.interval,
                      group_digits(result.screen_tokens));
  for (const std::string& note : result.notes) text += "note: " + note + "\n";
  return text;
}

struct Options {
  uint64_t top_k = 0;
  std::string ruleset;
};

Result<StudyRficOptions> prepared(const Options& own, const StudyOptions& shared, const Common& common) {
  StudyRficOptions study;
  study.model = shared.model;
  study.text = {shared.text->path, shared.text->windows};
  study.calibration = shared.calibration;
  study.quick = shared.quick;
  if (!shared.config.empty()) {
    ASSAY_ASSIGN(study.config, read_rfic_config(shared.config));
  }
  if (own.top_k != 0) study.config.top_k = own.top_k;
  if (!own.ruleset.empty()) {
    ASSAY_ASSIGN(study.config.ruleset, parse_rfic_rules(own.ruleset));
  }
  if (!shared.layers.empty()) {
    ASSAY_ASSIGN(study.config.layers, parse_layers(shared.layers));
  }
  if (common.seed != 0) study.config.seed = common.seed;
  return study;
}

}  // namespace

StudyRun declare_study_rfic(CLI::App& app) {
  auto own = std::make_shared<Options>();
  app.add_option("--top-k", own->top_k, "weights per matrix that are zeroed in the full model (20)")->check(CLI::Range(1, 100000));
  app.add_option("--ruleset", own->ruleset, "of which rules: v0, A, B, C, comma-separated (B)");
  return [=](const StudyOptions& shared, Context& context) -> Result<Outcome> {
    ASSAY_TRY(context.begin({shared.model, shared.text->path, shared.calibration, shared.config}));
    ASSAY_ASSIGN(const StudyRficOptions study, prepared(*own, shared, context.common));
    const ResultsDirectory results(shared.results, context.common);
    ASSAY_TRY(results.prepare({"report.json", "report.txt", "candidates.csv"}));
    ASSAY_ASSIGN(Engine * engine, context.engine());
    ASSAY_ASSIGN(const StudyRficResult made, engine->study_rfic(study, context.settings, context.progress));
    Outcome outcome;
    outcome.inputs = {shared.model, shared.text->path, shared.calibration, shared.config};
    outcome.result = to_json(made.result);
    add_run(made.stage_seconds, made.units, outcome);
    outcome.text = text_of(made);
    const auto draw = [&](const std::string& subtitle) { return write_figures(made.result, results.path(), subtitle, results.output()); };
    ASSAY_TRY(write_results(results, shared.model,
                            fmt::format("{} candidates, {} tokens", made.result.candidates.size(), made.result.screen_tokens),
                            {{"candidates.csv", candidates_csv(made.result)}}, draw, outcome));
    return outcome;
  };
}

}  // namespace assay::cli
