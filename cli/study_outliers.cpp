// `assay study outliers`.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "assay/base/text.h"
#include "assay/score/median.h"
#include "assay/study/outlier_figures.h"
#include "cli/study.h"
#include "cli/table.h"

namespace assay::cli {
namespace {

using Kind = OutlierRow::Kind;

std::string number(double value) { return fmt::format("{:.3g}", value); }
std::string text_of(const Interval& interval) {
  return fmt::format("{:.3g} [{:.3g}, {:.3g}]", interval.value, interval.low, interval.high);
}
std::string percent_of(const Interval& interval) {
  return fmt::format("{:.3g} % [{:.3g}, {:.3g}]", 100 * interval.value, 100 * interval.low, 100 * interval.high);
}

void add_strongest(const OutlierResult& result, std::string& text) {
  Table table({"strongest", "kind", "|w|", "robust score", "KL [95 %]", "tail KL", "flips", "perplexity", "its controls' median KL",
               "I(A, B)", "stability", "label"});
  for (const size_t r : result.strongest) {
    const OutlierRow& row = result.rows[r];
    std::vector<double> controls;
    for (size_t c = 0; c < row.controls; ++c) controls.push_back(result.rows[row.first_control + c].all.kl);
    table.add({name_of(row.place), std::string(name_of(row.kind)), number(std::abs(row.weight)), number(row.robust_score), text_of(row.kl),
               number(row.all.tail_kl), fmt::format("{:.2g} %", 100 * row.all.flip_rate),
               fmt::format("{:+.2g} %", 100 * row.all.ppl_change()), controls.empty() ? "" : number(median(controls)),
               row.interaction ? text_of(*row.interaction) : "", row.max_stability ? number(*row.max_stability) : "",
               std::string(name_of(row.label))});
  }
  text += table.text() + "\n";
}

// Medians of each kind, by stratum.
void add_strata(const OutlierResult& result, std::string& text) {
  std::vector<std::string> header = {"median KL by stratum", "weights", "all"};
  header.insert(header.end(), result.strata.begin(), result.strata.end());
  Table table(header);
  const auto add = [&](const char* name, const auto& is_one) {
    std::vector<std::vector<double>> values(result.strata.size() + 1);
    for (const OutlierRow& row : result.rows) {
      if (!is_one(row)) continue;
      values[0].push_back(row.all.kl);
      for (size_t s = 0; s < row.strata.size(); ++s) values[s + 1].push_back(row.strata[s].kl);
    }
    if (values[0].empty()) return;
    std::vector<std::string> cells = {name, std::to_string(values[0].size())};
    for (auto& one : values) cells.push_back(one.empty() ? "" : number(median(std::move(one))));
    table.add(std::move(cells));
  };
  add("super weights", [](const OutlierRow& row) { return row.kind == Kind::kSuper; });
  add("robust outliers", [](const OutlierRow& row) { return row.kind == Kind::kRobust && row.listed; });
  add("under-outliers", [](const OutlierRow& row) { return row.under; });
  add("matched controls", [](const OutlierRow& row) { return row.kind == Kind::kControl; });
  text += table.text() + "\n";
}

void add_edits(const OutlierResult& result, std::string& text) {
  std::map<std::string, std::vector<double>> doses, edits;
  Table table({"the strongest: change", "weights", "median KL", "median recovered", "recovered enough"});
  const auto is_candidate = [&](size_t row) { return result.rows[row].kind != Kind::kControl; };
  for (const OutlierDose& one : result.doses)
    if (is_candidate(one.row)) doses[fmt::format("times {:g}", one.scale)].push_back(one.kl.value);
  for (const auto& [name, values] : doses) table.add({name, std::to_string(values.size()), number(median(values)), "", ""});
  std::map<std::string, std::pair<std::vector<double>, uint64_t>> recovered;
  for (const OutlierEdit& one : result.edits) {
    if (!is_candidate(one.row)) continue;
    edits[one.form].push_back(one.kl.value);
    recovered[one.form].first.push_back(one.recovery.value);
    recovered[one.form].second += one.recovered;
  }
  for (const auto& [form, values] : edits)
    table.add({form, std::to_string(values.size()), number(median(values)), fmt::format("{:.3g} %", 100 * median(recovered[form].first)),
               std::to_string(recovered[form].second)});
  for (const OutlierSet& one : result.sets)
    table.add({fmt::format("{} {} at once", one.size, one.of), std::to_string(one.size), text_of(one.kl),
               "I(S) " + text_of(one.interaction), ""});
  text += table.text() + "\n";
}

void add_patches(const OutlierResult& result, std::string& text) {
  std::map<std::string, std::vector<double>> recovered;
  for (const OutlierPatch& one : result.patches) {
    const std::string who = result.rows[one.row].kind == Kind::kControl ? ", controls" : "";
    const std::string form = one.form == "rank"      ? fmt::format("first block, rank {}", one.rank)
                             : one.form == "replace" ? "replaced at a block"
                             : one.form == "first"   ? "first block, full"
                             : one.rank == 0         ? "patch_all_seed"
                                                     : fmt::format("patch_all_seed, rank {}", one.rank);
    recovered[form + who].push_back(one.recovery.value);
  }
  Table table({"patch of the stream", "runs", "recovered: median", "least", "most"});
  for (auto& [form, values] : recovered) {
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    table.add({form, std::to_string(values.size()), fmt::format("{:.4g} %", 100 * median(values)), fmt::format("{:.4g} %", 100 * *least),
               fmt::format("{:.4g} %", 100 * *most)});
  }
  text += table.text();
  std::vector<double> own, next;
  for (const OutlierOvershoot& one : result.overshoots) {
    if (!one.layers.empty()) own.push_back(one.layers[0].second);
    if (one.layers.size() > 1) next.push_back(one.layers[1].second);
  }
  if (!next.empty())
    text += fmt::format(
        "patch_all_seed adds delta at every block: of it, {:.3g} too much stands in the stream after the first changed block, "
        "{:.4g} after the next (medians)\n",
        median(own), median(next));
  text += "\n";
}

void add_labels(const OutlierResult& result, std::string& text) {
  std::vector<std::string> header = {"labels"};
  for (size_t l = 0; l < kOutlierLabels; ++l) header.emplace_back(name_of(static_cast<OutlierLabel>(l)));
  Table table(header);
  const auto add = [&](const std::string& who, const TaxonomySensitivity& row) {
    std::vector<std::string> cells = {who + row.threshold};
    for (const uint64_t count : row.counts) cells.push_back(std::to_string(count));
    table.add(std::move(cells));
  };
  for (const TaxonomySensitivity& row : result.candidates) add("candidates, ", row);
  if (!result.controls.empty()) add("first controls, ", result.controls[0]);
  text += table.text() + "\n";
}

void add_shares(const OutlierResult& result, std::string& text) {
  for (const OutlierDamage& damage : result.damages) {
    std::map<std::string, std::map<uint64_t, std::string>> cells;
    std::vector<uint64_t> sizes;
    for (const OutlierShare& one : result.shares) {
      if (one.type != damage.type) continue;
      if (std::find(sizes.begin(), sizes.end(), one.k) == sizes.end()) sizes.push_back(one.k);
      cells[one.selection + (one.draw > 0 ? fmt::format(", draw {}", one.draw + 1) : "")][one.k] = percent_of(one.share);
    }
    for (const OutlierExcess& one : result.excesses)
      if (one.type == damage.type) cells["outliers less controls"][one.k] = percent_of(one.excess);
    std::vector<std::string> header = {fmt::format("{}: KL {}, share restored by", damage.type, text_of(damage.kl))};
    for (const uint64_t k : sizes) header.push_back("k = " + group_digits(k));
    Table table(header);
    for (const auto& [selection, row] : cells) {
      std::vector<std::string> line = {selection};
      for (const uint64_t k : sizes) line.push_back(row.contains(k) ? row.at(k) : "");
      table.add(std::move(line));
    }
    text += table.text() + "\n";
  }
}

std::string_view judged(assay::Outcome outcome) {
  constexpr std::string_view kWords[] = {"supported", "refuted", "inconclusive", "not measured"};
  return kWords[static_cast<size_t>(outcome)];
}

std::string text_of(const StudyOutliersResult& study) {
  const OutlierResult& result = study.result;
  std::string text;
  add_strongest(result, text);
  add_strata(result, text);
  add_edits(result, text);
  add_patches(result, text);
  add_labels(result, text);
  add_shares(result, text);
  text += verdicts_text(result.verdicts, result.outcome, result.post_hoc);
  for (const Verdict& verdict : result.verdicts) text += fmt::format("claim \"{}\": {}\n", verdict.criterion.name, judged(verdict.outcome));
  text += fmt::format(
      "{} prompts, {} tokens scored, {} variants; KL in nats per token, 95 % intervals over {}; noise floor {:.2g}; shares on {} prompts, "
      "{} "
      "tokens\n",
      result.prompts, group_digits(result.tokens), group_digits(result.variants), result.interval, result.noise_floor, result.share_prompts,
      group_digits(result.share_tokens));
  for (const std::string& note : result.notes) text += "note: " + note + "\n";
  return text;
}

struct Options {
  std::string strata, imatrix;
};

Result<StudyOutliersOptions> prepared(const Options& own, const StudyOptions& shared, const Common& common) {
  StudyOutliersOptions study;
  study.model = shared.model;
  study.text = {shared.text->path, shared.text->windows};
  OutlierConfig& config = study.config;
  if (!shared.config.empty()) {
    ASSAY_ASSIGN(config, read_outlier_config(shared.config));
  }
  if (shared.quick) make_quick(config);
  if (!own.strata.empty()) config.strata_file = own.strata;
  if (!own.imatrix.empty()) config.imatrix = own.imatrix;
  if (!shared.layers.empty()) {
    ASSAY_ASSIGN(config.layers, parse_layers(shared.layers));
  }
  if (common.seed != 0) config.seed = common.seed;
  return study;
}

}  // namespace

StudyRun declare_study_outliers(CLI::App& app) {
  auto own = std::make_shared<Options>();
  app.add_option("--strata", own->strata, "prompts of your own, JSON or YAML {stratum: [prompt, ...]}, in place of the built-in ones");
  app.add_option("--imatrix", own->imatrix, "controls are matched on its column statistics too");
  return [=](const StudyOptions& shared, Context& context) -> Result<Outcome> {
    ASSAY_ASSIGN(const StudyOutliersOptions study, prepared(*own, shared, context.common));
    const std::vector<std::string> inputs = {shared.model, shared.text->path, shared.config, study.config.strata_file,
                                             study.config.imatrix};
    ASSAY_TRY(context.begin(inputs));
    const ResultsDirectory results(shared.results, context.common);
    ASSAY_TRY(results.prepare({"report.json", "report.txt", "weights.csv"}));
    ASSAY_ASSIGN(Engine * engine, context.engine());
    ASSAY_ASSIGN(const StudyOutliersResult made, engine->study_outliers(study, context.settings, context.progress));
    Outcome outcome;
    outcome.inputs = inputs;
    outcome.noise_floor = made.result.noise_floor;
    outcome.result = to_json(made.result);
    add_run(made.stage_seconds, made.units, outcome);
    outcome.text = text_of(made);
    const auto draw = [&](const std::string& subtitle) { return write_figures(made.result, results.path(), subtitle, results.output()); };
    ASSAY_TRY(write_results(results, shared.model, fmt::format("{} prompts, {} tokens", made.result.prompts, made.result.tokens),
                            {{"weights.csv", to_csv(made.result)}}, draw, outcome));
    return outcome;
  };
}

}  // namespace assay::cli
