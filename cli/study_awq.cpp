// `assay study awq`.
#include <fmt/format.h>

#include "assay/base/text.h"
#include "cli/study.h"
#include "cli/table.h"

namespace assay::cli {
namespace {

std::string text_of(const StudyAwqResult& study) {
  const AwqStudyResult& result = study.result;
  Table rows({"matrices at", "method", "mean KL", "95 % interval", "perplexity", "change of KL", "against"});
  for (const AwqRow& row : result.rows)
    rows.add({row.target, row.method, fmt::format("{:.6f}", row.kl.value), fmt::format("[{:.6f}, {:.6f}]", row.kl.low, row.kl.high),
              fmt::format("{:.4f}", row.ppl),
              row.against.empty()
                  ? ""
                  : fmt::format("{:+.1f} % [{:+.1f}, {:+.1f}]", 100 * row.change.value, 100 * row.change.low, 100 * row.change.high),
              row.against});
  Table alphas({"scaled", "for", "alpha by block", "least error over plain, at one alpha"});
  for (const AwqCurve& curve : result.curves) {
    std::string list;
    for (const double alpha : curve.alphas) list += (list.empty() ? "" : " ") + fmt::format("{:.2f}", alpha);
    const auto least = std::min_element(curve.losses.begin(), curve.losses.end());
    alphas.add({curve.place, curve.target, list,
                fmt::format("{:.3f} at {:.2f}", *least,
                            static_cast<double>(least - curve.losses.begin()) / static_cast<double>(curve.losses.size() - 1))});
  }
  std::string text = rows.text() + "\n" + alphas.text();
  text += verdicts_text(result.verdicts, result.outcome, result.post_hoc);
  text += fmt::format("{} windows, {} tokens scored; perplexity unquantized {:.4f}; scales from {} tokens; 95 % intervals over {}\n",
                      result.windows, group_digits(result.tokens_scored), result.base_ppl, group_digits(result.calibration_tokens),
                      result.interval);
  for (const std::string& note : result.notes) text += "note: " + note + "\n";
  return text;
}

}  // namespace

StudyRun declare_study_awq(CLI::App&) {
  return [](const StudyOptions& shared, Context& context) -> Result<Outcome> {
    ASSAY_TRY(context.begin({shared.model, shared.text->path, shared.calibration, shared.config}));
    StudyAwqOptions study;
    study.model = shared.model;
    study.text = {shared.text->path, shared.text->windows};
    study.calibration = shared.calibration;
    study.quick = shared.quick;
    if (!shared.config.empty()) {
      ASSAY_ASSIGN(study.config, read_awq_config(shared.config));
    }
    if (!shared.layers.empty()) return fail(ErrorCode::kUsage, "study awq: --layers is not for it: all blocks are scaled");
    if (context.common.seed != 0) study.config.seed = context.common.seed;
    const ResultsDirectory results(shared.results, context.common);
    ASSAY_TRY(results.prepare({"report.json", "report.txt", "rows.csv"}));
    ASSAY_ASSIGN(Engine * engine, context.engine());
    ASSAY_ASSIGN(const StudyAwqResult made, engine->study_awq(study, context.settings, context.progress));
    Outcome outcome;
    outcome.inputs = {shared.model, shared.text->path, shared.calibration, shared.config};
    outcome.result = to_json(made.result);
    add_run(made.stage_seconds, made.units, outcome);
    outcome.text = text_of(made);
    const auto draw = [&](const std::string& subtitle) { return write_figures(made.result, results.path(), subtitle, results.output()); };
    ASSAY_TRY(write_results(results, shared.model, fmt::format("{} windows, {} tokens", made.result.windows, made.result.tokens_scored),
                            {{"rows.csv", rows_csv(made.result)}}, draw, outcome));
    return outcome;
  };
}

}  // namespace assay::cli
