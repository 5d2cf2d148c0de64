// `assay study attention`.
#include <fmt/format.h>

#include <algorithm>

#include "assay/base/text.h"
#include "assay/study/attention_analysis.h"
#include "assay/study/attention_figures.h"
#include "cli/study.h"
#include "cli/table.h"

namespace assay::cli {
namespace {

std::string percent(const std::optional<double>& share) { return share ? fmt::format("{:.1f} %", 100 * *share) : ""; }

std::string layers_text(const std::vector<int>& layers) {
  if (layers.size() > 2 && layers.back() - layers.front() + 1 == static_cast<int>(layers.size()))
    return fmt::format("{}-{}", layers.front(), layers.back());
  return fmt::format("{}", fmt::join(layers, ","));
}

std::string rule_text(const AttentionMode& mode) {
  if (mode.rule == "top-k") return fmt::format("top-{}", mode.k);
  if (mode.rule != "low-rank") return mode.rule;
  return fmt::format("rank {}, {}{}", mode.k, mode.basis, mode.draw > 0 ? fmt::format(" {}", mode.draw + 1) : "");
}

void add_together(const AttentionResult& result, std::string& text) {
  Table table({fmt::format("layers {} together", layers_text(result.chosen)), "perplexity", "change", "KL", "flips", "recovered, %",
               "energy kept", "residual's lead"});
  for (const AttentionRow& row : result.rows)
    if (row.mode.set == "together")
      table.add({rule_text(row.mode), fmt::format("{:.4f}", row.ppl), estimate_text(row.ppl_change), estimate_text(row.kl),
                 fmt::format("{:.2f} %", 100 * row.flip_rate), estimate_text(row.recovery), percent(row.kept), estimate_text(row.lead)});
  text += table.text() + "\n";
}

// One row per set of layers, one column per rule.
void add_set(const AttentionResult& result, const std::string& set, const std::string& title, std::string& text) {
  std::vector<std::string> rules, header = {title};
  std::vector<std::vector<int>> layers;
  for (const AttentionRow& row : result.rows) {
    if (row.mode.set != set) continue;
    if (std::find(rules.begin(), rules.end(), rule_text(row.mode)) == rules.end()) rules.push_back(rule_text(row.mode));
    if (std::find(layers.begin(), layers.end(), row.mode.layers) == layers.end()) layers.push_back(row.mode.layers);
  }
  if (rules.empty()) return;
  for (const std::string& rule : rules) header.push_back(rule + ": change of perplexity");
  Table table(header);
  for (const std::vector<int>& own : layers) {
    std::vector<std::string> cells = {layers_text(own)};
    for (const std::string& rule : rules) {
      std::string cell;
      for (const AttentionRow& row : result.rows)
        if (row.mode.set == set && row.mode.layers == own && rule_text(row.mode) == rule) cell = estimate_text(row.ppl_change);
      cells.push_back(std::move(cell));
    }
    table.add(std::move(cells));
  }
  text += table.text() + "\n";
}

void add_layers(const AttentionResult& result, std::string& text) {
  Table table({"layer", "p2/p1", "p1 - p2", "stable under noise", "crystallised", "loss of top-1 alone, nats", "r90", "participation"});
  for (const LayerCrystallisation& layer : result.layers_map) {
    double r90 = 0, participation = 0, heads = 0;
    for (const AttentionSpectrum& one : result.spectra) {
      if (one.layer != layer.layer) continue;
      r90 += one.r90;
      participation += one.participation;
      ++heads;
    }
    table.add({std::to_string(layer.layer), fmt::format("{:.3f}", layer.ratio), fmt::format("{:.3f}", layer.margin),
               fmt::format("{:.1f} %", 100 * layer.stability), layer.crystallised ? "yes" : "no", estimate_text(layer.loss),
               heads > 0 ? fmt::format("{:.1f} of {}", r90 / heads, result.head_dim) : "",
               heads > 0 ? fmt::format("{:.1f}", participation / heads) : ""});
  }
  text += table.text() + "\n";
  if (result.predictions.empty()) return;
  Table predictions({"does it predict top-1's loss?", "over", "n", "rho", "smallest detectable"});
  for (const AttentionPrediction& one : result.predictions)
    predictions.add({one.predictor, one.over, std::to_string(one.n), estimate_text(one.rho), fmt::format("{:.2f}", one.detectable)});
  text += predictions.text() + "\n";
}

void add_heads(const AttentionResult& result, std::string& text) {
  std::vector<const AttentionRow*> rows;
  for (const AttentionRow& row : result.rows)
    if (row.mode.set == "heads") rows.push_back(&row);
  if (rows.empty()) return;
  std::stable_sort(rows.begin(), rows.end(), [](const AttentionRow* a, const AttentionRow* b) { return a->loss.value > b->loss.value; });
  constexpr size_t kShown = 5;
  Table table({"head by top-1 alone, the costliest", "loss, nats", "p2/p1", "stable under noise"});
  for (size_t i = 0; i < std::min(kShown, rows.size()); ++i) {
    const AttentionMode& mode = rows[i]->mode;
    for (const HeadCrystallisation& head : result.heads_map)
      if (head.layer == mode.layers[0] && head.head == mode.head)
        table.add({fmt::format("layer {} head {}", head.layer, head.head), estimate_text(rows[i]->loss), fmt::format("{:.3f}", head.ratio),
                   fmt::format("{:.1f} %", 100 * head.stability)});
  }
  text += table.text() + "\n";
}

void add_budgets(const AttentionResult& result, std::string& text) {
  if (result.budgets.empty()) return;
  Table table({"last layers within a budget of perplexity", "0.5", "1", "5"});
  std::vector<std::string> rules;
  for (const AttentionBudget& one : result.budgets) {
    const std::string rule = one.rule == "top-k" ? fmt::format("top-{}", one.k) : one.rule;
    if (std::find(rules.begin(), rules.end(), rule) != rules.end()) continue;
    rules.push_back(rule);
    std::vector<std::string> cells = {rule};
    for (const AttentionBudget& other : result.budgets)
      if (other.rule == one.rule && other.k == one.k) cells.push_back(std::to_string(other.layers));
    table.add(std::move(cells));
  }
  text += table.text() + "\n";
}

void add_savings(const AttentionResult& result, std::string& text) {
  Table table({fmt::format("a decoder at {} tokens, these layers, per token", group_digits(result.decoder_context)), "bytes read",
               "of full", "FLOPs", "of full", "cache of full"});
  const auto row = [](const std::string& name, const DecoderCost& cost, const DecoderCost& full) {
    return std::vector<std::string>{name,
                                    group_digits(static_cast<uint64_t>(cost.bytes)),
                                    fmt::format("{:.1f} %", 100 * cost.bytes / full.bytes),
                                    group_digits(static_cast<uint64_t>(cost.flops)),
                                    fmt::format("{:.1f} %", 100 * cost.flops / full.flops),
                                    fmt::format("{:.1f} %", 100 * cost.cache / full.cache)};
  };
  if (result.savings.empty()) return;
  const DecoderCost& full = result.savings[0].full;
  table.add(row("full", full, full));
  for (const AttentionSaving& one : result.savings) {
    std::string name = one.rule;
    if (one.rule == "top-k") name = fmt::format("top-{}", one.k);
    if (one.rule == "low-rank") name = fmt::format("top-1 and rank {}", one.k);
    table.add(row(name, one.replaced, full));
  }
  text += table.text() + "\n";
}

std::string verdict_text(const AttentionResult& result) {
  const AttentionVerdict& verdict = result.verdict;
  std::string text =
      fmt::format("By the published rule (values alone): {}, rank {} recovers {:.1f} %.\n",
                  verdict.published_yes ? "YES, compressible" : "PARTIAL", verdict.published_rank, verdict.published_recovery);
  return text + "By intervals and controls (ours): " + verdict.sentence + "\n";
}

std::string text_of(const StudyAttentionResult& study) {
  const AttentionResult& result = study.result;
  std::string text;
  add_together(result, text);
  add_set(result, "alone", "layer alone", text);
  add_set(result, "suffixes", "layers", text);
  add_set(result, "subsets", "subset", text);
  add_layers(result, text);
  add_heads(result, text);
  add_budgets(result, text);
  add_savings(result, text);
  text += verdict_text(result);
  text += verdicts_text(result.verdicts, result.outcome, result.post_hoc);
  text += fmt::format(
      "perplexity {:.4f}, noise floor {:.2g}; {} windows of {} documents, {} tokens scored; 95 % intervals over {}; bases from {} windows "
      "({}), diagnostics on {}; {:.0f} forwards of a window\n",
      result.base_ppl, result.noise_floor, result.windows, result.documents, group_digits(result.tokens_scored), result.interval,
      result.basis_windows, result.basis_from, result.diagnostic_windows, result.forward_equivalents);
  for (const std::string& note : result.notes) text += "note: " + note + "\n";
  return text;
}

struct Options {
  std::string ranks, top_k, bases, sets, basis_text, basis_from;
  // What the config says unless these are given.
  const CLI::Option *ctx = nullptr, *chunks = nullptr, *window = nullptr;
};

Result<StudyAttentionOptions> prepared(const Options& own, const StudyOptions& shared, const Common& common) {
  StudyAttentionOptions study;
  study.model = shared.model;
  study.text = {shared.text->path, shared.text->windows};
  study.basis_text = own.basis_text;
  AttentionConfig& config = study.config;
  if (!shared.config.empty()) {
    ASSAY_ASSIGN(config, read_attention_config(shared.config));
  }
  if (shared.quick) make_quick(config);
  if (!shared.layers.empty()) {
    ASSAY_ASSIGN(config.layers, parse_layers(shared.layers));
  }
  if (!own.ranks.empty()) {
    ASSAY_ASSIGN(config.ranks, parse_counts("--ranks", own.ranks));
    if (std::find(config.ranks.begin(), config.ranks.end(), config.compare_rank) == config.ranks.end()) config.compare_rank = 0;
  }
  if (!own.top_k.empty()) {
    ASSAY_ASSIGN(config.top_k, parse_counts("--keys", own.top_k));
  }
  if (!own.bases.empty()) {
    ASSAY_ASSIGN(config.bases, parse_bases(own.bases));
  }
  if (!own.sets.empty()) {
    ASSAY_ASSIGN(config.sets, parse_layer_sets(own.sets));
  }
  if (!own.basis_from.empty()) config.basis_from = own.basis_from == "evaluation" ? BasisSource::kEvaluation : BasisSource::kDisjoint;
  const WindowOptions& windows = shared.text->windows;
  if (own.ctx->count() > 0) config.ctx = windows.ctx;
  if (own.window->count() > 0) config.window = windows.rule;
  if (own.chunks->count() > 0 && windows.chunks > 0) config.windows = windows.chunks;
  if (common.seed != 0) config.seed = common.seed;
  return study;
}

}  // namespace

StudyRun declare_study_attention(CLI::App& app) {
  auto own = std::make_shared<Options>();
  own->ctx = app.get_option("--ctx");
  own->chunks = app.get_option("--chunks");
  own->window = app.get_option("--window");
  app.add_option("--ranks", own->ranks, "ranks of the residual, e.g. 1,4,16 (1,2,4,8,16,32)");
  app.add_option("--keys", own->top_k, "keys that top-k keeps, e.g. 2,4 (2,4,8)");
  app.add_option("--bases", own->bases, "residual,centred,context,values,random (all)");
  app.add_option("--sets", own->sets, "layers replaced: together,alone,suffixes,subsets,heads (all)");
  app.add_option("--basis-text", own->basis_text, "text that bases are made from (windows of --text that are not evaluated)");
  app.add_option("--basis-from", own->basis_from, "disjoint, or evaluation: the first evaluated windows, which leaks")
      ->check(CLI::IsMember({"disjoint", "evaluation"}));
  return [=](const StudyOptions& shared, Context& context) -> Result<Outcome> {
    if (!own->basis_text.empty()) ASSAY_TRY(locate_text(own->basis_text, context));
    ASSAY_TRY(context.begin({shared.model, shared.text->path, shared.config, own->basis_text}));
    ASSAY_ASSIGN(const StudyAttentionOptions study, prepared(*own, shared, context.common));
    const ResultsDirectory results(shared.results, context.common);
    ASSAY_TRY(results.prepare({"report.json", "report.txt"}));
    ASSAY_ASSIGN(Engine * engine, context.engine());
    ASSAY_ASSIGN(const StudyAttentionResult made, engine->study_attention(study, context.settings, context.progress));
    Outcome outcome;
    outcome.inputs = {shared.model, shared.text->path, shared.config, own->basis_text};
    outcome.noise_floor = made.result.noise_floor;
    outcome.result = to_json(made.result);
    add_run(made.stage_seconds, made.units, outcome);
    outcome.text = text_of(made);
    const auto draw = [&](const std::string& subtitle) { return write_figures(made.result, results.path(), subtitle, results.output()); };
    ASSAY_TRY(write_results(results, shared.model, fmt::format("{} windows, {} tokens", made.result.windows, made.result.tokens_scored), {},
                            draw, outcome));
    return outcome;
  };
}

}  // namespace assay::cli
