#include <fmt/format.h>

#include "assay/base/text.h"
#include "assay/file/byte_source.h"
#include "assay/file/lm_eval.h"
#include "assay/probe/llama_table.h"
#include "cli/command.h"
#include "cli/eval_tasks.h"
#include "cli/table.h"

namespace assay::cli {
namespace {

constexpr double kPercentiles[] = {0, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1};

Json percentiles(const RankedValues& values) {
  Json json = Json::object();
  for (const double f : kPercentiles) json[fmt::format("{:g}", 100 * f)] = values.quantile(f);
  return json;
}

// How the tails and percentiles were read, and by how much of all ranks they may be off.
Json ranks_json(const QuantileSketch& values) {
  const double share = values.count() ? static_cast<double>(values.rank_error()) / static_cast<double>(values.count()) : 0;
  return {{"method", values.exact() ? "exact" : "sketch"}, {"rank_error", share}};
}

void add_llama_table(const Observation& seen, Json& json, std::string& text) {
  const auto rows = llama_table(seen);
  json["llama_cpp"] = {{"note", "llama.cpp's definitions; errors take tokens as independent"}};
  if (rows.empty()) return;
  Table table({"llama.cpp's table", "value", "standard error"});
  for (const LlamaRow& row : rows) {
    Json& cell = json["llama_cpp"][row.key] = {{"value", row.value}};
    if (row.error) cell["error"] = *row.error;
    const double scale = row.percent ? 100 : 1;
    const char* unit = row.percent ? " %" : "";
    table.add(
        {row.name, fmt::format("{:.6f}{}", row.value * scale, unit), row.error ? fmt::format("{:.6f}{}", *row.error * scale, unit) : ""});
  }
  text += "\nwith llama.cpp's names and definitions; its errors take tokens as independent and are too small\n" + table.text();
}

void add_comparison(const Observation& seen, const EvaluateResult& evaluated, uint64_t seed, Json& json, Table& table) {
  const auto mean_of = [&](const WindowStatistic& statistic) { return bootstrap(seen.windows(), statistic, {2000, seed}); };
  const Interval kl = mean_of([](const WindowSums& s) { return s.kl / static_cast<double>(s.count); });
  const Interval flips = mean_of([](const WindowSums& s) { return static_cast<double>(s.flips) / static_cast<double>(s.count); });
  const Interval nll = mean_of([](const WindowSums& s) { return s.nll_difference / static_cast<double>(s.count); });
  const QuantileSketch& kl_values = seen.positions().kl;
  const RankedValues kl_ranks = kl_values.ranked();
  const double tail = kl_ranks.tail_mean();
  json["base_ppl"] = seen.ppl_base();
  json["ln_ppl_ratio"] = nll.value;
  json["ln_ppl_ratio_ci95"] = interval_json(nll);
  json["mean_kl"] = kl.value;
  json["mean_kl_ci95"] = interval_json(kl);
  json["tail_kl"] = tail;
  json["flip_rate"] = flips.value;
  json["flip_rate_ci95"] = interval_json(flips);
  json["mean_margin_change"] = seen.mean_margin_change();
  json["mean_dp"] = seen.mean_dp();
  json["rms_dp"] = seen.rms_dp();
  json["percentiles"] = {{"kl", percentiles(kl_ranks)}, {"dp", percentiles(seen.positions().dp.ranked())}};
  json["ranks"] = ranks_json(kl_values);
  const std::string below = evaluated.noise_floor && kl.value < *evaluated.noise_floor ? "  below the noise floor" : "";
  const auto range = [](const Interval& i, double scale, const char* format) {
    return fmt::format("[{}, {}]", fmt::format(fmt::runtime(format), i.low * scale), fmt::format(fmt::runtime(format), i.high * scale));
  };
  table.add({"perplexity of the base", fmt::format("{:.4f}", seen.ppl_base()), "", ""});
  table.add({"mean KL (base || model)", fmt::format("{:.6f}", kl.value), range(kl, 1, "{:.6f}"), "nats per token" + below});
  table.add(
      {"tail KL, worst 5 %", fmt::format("{:.6f}", tail), "", kl_values.exact() ? "nats per token" : "nats per token, from a sketch"});
  table.add({"flip rate", fmt::format("{:.3f}", 100 * flips.value), range(flips, 100, "{:.3f}"), "% of tokens with another top token"});
  table.add({"ln(PPL / base PPL)", fmt::format("{:.6f}", nll.value), range(nll, 1, "{:.6f}"), ""});
  table.add({"margin change", fmt::format("{:.4f}", seen.mean_margin_change()), "", "logits"});
  table.add({"mean, RMS of delta p", fmt::format("{:.3f}, {:.3f}", 100 * seen.mean_dp(), 100 * seen.rms_dp()), "", "% points"});
}

// Task scores of others, read before anything is run: a broken file costs nothing.
Result<std::vector<std::pair<std::string, LmEvalResults>>> read_lm_eval(const std::vector<std::string>& paths) {
  std::vector<std::pair<std::string, LmEvalResults>> files;
  for (const std::string& path : paths) {
    ASSAY_ASSIGN(const std::string text, read_text_file(path));
    ASSAY_ASSIGN(LmEvalResults results, parse_lm_eval(text, path));
    files.emplace_back(path, std::move(results));
  }
  return files;
}

void add_lm_eval(const std::vector<std::pair<std::string, LmEvalResults>>& files, Outcome& outcome) {
  if (files.empty()) return;
  Json list = Json::array();
  Table table({"task", "metric", "value", "standard error", "samples", "model"});
  for (const auto& [path, results] : files) {
    outcome.inputs.push_back(path);
    for (const LmEvalScore& score : results.scores) {
      list.push_back({{"task", score.task},
                      {"metric", score.metric},
                      {"filter", score.filter},
                      {"value", score.value},
                      {"standard_error", score.standard_error ? Json(*score.standard_error) : Json()},
                      {"samples", score.samples ? Json(*score.samples) : Json()},
                      {"shots", score.shots ? Json(*score.shots) : Json()},
                      {"version", score.version},
                      {"model", results.model},
                      {"file", path}});
      table.add({score.task, score.metric + (score.filter.empty() || score.filter == "none" ? "" : " (" + score.filter + ")"),
                 fmt::format("{:.4f}", score.value), score.standard_error ? fmt::format("{:.4f}", *score.standard_error) : "",
                 score.samples ? group_digits(*score.samples) : "", printable(results.model)});
    }
  }
  outcome.result["lm_eval"] = std::move(list);
  outcome.text += "\ntask scores, by lm-evaluation-harness\n" + table.text();
}

// Items are scored, or a text is.
Status check_tasks(const EvaluateOptions& options, const TextOptions& text, const EvalTasks& tasks) {
  for (const CLI::Option* const option : tasks.own)
    if (!tasks.wanted() && option->count() > 0) return fail(ErrorCode::kUsage, {option->get_name(), "needs --tasks", "", ""});
  if (tasks.wanted() && (!text.path.empty() || !options.stored_base.empty() || !options.save_logits.empty()))
    return fail(ErrorCode::kUsage, "eval: --tasks goes without --text, --kl-divergence-base and --save-all-logits: two runs");
  return {};
}

}  // namespace

Run declare_eval(CLI::App& app) {
  auto options = std::make_shared<EvaluateOptions>();
  app.add_option("model", options->model, kModelHelp)->required();
  app.add_option("--base", options->base, "the model to compare with, likewise");
  app.add_option("--kl-divergence-base", options->stored_base,
                 "compare with the logits in this file (llama.cpp's format); with --base, too, that model says how much of the KL the "
                 "format makes");
  app.add_option("--save-all-logits", options->save_logits,
                 "write the model's logits to this file (llama.cpp's format, 16 bits per logit)");
  auto others = std::make_shared<std::vector<std::string>>();
  app.add_option("--lm-eval", *others, "results of lm-evaluation-harness (JSON), repeatable: their task scores are told beside");
  auto text = add_text_options(app, false);
  app.add_option("--text,-f", text->path, std::string(kTextHelp) + "; not needed with --kl-divergence-base or --tasks");
  auto tasks = add_task_options(app);
  return [options, text, tasks, others](Context& context) -> Result<Outcome> {
    ASSAY_TRY(check_tasks(*options, *text, *tasks));
    ASSAY_ASSIGN(const auto task_files, read_lm_eval(*others));
    ASSAY_TRY(locate_model(options->model, context));
    ASSAY_TRY(locate_model(options->base, context));
    if (tasks->wanted()) {
      tasks->options.model = options->model;
      tasks->options.base = options->base;
      return run_eval_tasks(*tasks, context);
    }
    ASSAY_TRY(locate_text(text->path, context));
    options->text = {text->path, text->windows};
    options->force = context.common.force;
    ASSAY_TRY(context.begin({options->model, options->base, options->stored_base, text->path}));
    ASSAY_ASSIGN(Engine * engine, context.engine());
    ASSAY_ASSIGN(const EvaluateResult evaluated, engine->evaluate(*options, context.settings, context.progress));
    Outcome outcome;
    outcome.inputs = {options->model, options->base, options->stored_base, text->path};
    outcome.noise_floor = evaluated.noise_floor;
    add_units(evaluated.units, outcome);
    Json& json = outcome.result;
    json["ppl"] = evaluated.ppl.value;
    json["ppl_ci95"] = interval_json(evaluated.ppl);
    json["nll"] = evaluated.nll;
    json["tokens_scored"] = evaluated.tokens_scored;
    json["windows"] = evaluated.windows;
    json["documents"] = evaluated.documents;
    json["interval"] = "95 % bootstrap over " + evaluated.interval_unit;
    Table table({"measure", "value", "95 % interval", ""});
    table.add({"perplexity", fmt::format("{:.4f}", evaluated.ppl.value),
               fmt::format("[{:.4f}, {:.4f}]", evaluated.ppl.low, evaluated.ppl.high), ""});
    if (evaluated.comparison) add_comparison(*evaluated.comparison, evaluated, context.settings.seed, json, table);
    outcome.text = table.text();
    outcome.text += fmt::format("{} tokens scored in {} windows of {} documents; intervals: bootstrap over {}\n",
                                group_digits(evaluated.tokens_scored), evaluated.windows, evaluated.documents, evaluated.interval_unit);
    if (evaluated.comparison && !evaluated.comparison->positions().kl.exact())
      outcome.text += fmt::format("tails and percentiles from a sketch: ranks off by at most {} of {} positions\n",
                                  group_digits(evaluated.comparison->positions().kl.rank_error()), group_digits(evaluated.tokens_scored));
    if (evaluated.format_floor) {
      json["format_floor"] = {{"kl", evaluated.format_floor->kl},
                              {"llama_cpp", evaluated.format_floor->plain},
                              {"of", evaluated.floor_of_base ? "base" : "model"}};
      outcome.text += fmt::format(
          "stored logits have 16 bits and a floor 16 nats under the top: that alone makes a KL of {:.3g} nats per token (as llama.cpp adds "
          "it up "
          "{:.3g}), of the {}'s logits\n",
          evaluated.format_floor->kl, evaluated.format_floor->plain, evaluated.floor_of_base ? "base" : "model");
    }
    add_lm_eval(task_files, outcome);
    if (evaluated.noise_floor) outcome.text += fmt::format("noise floor of these options: {:.2g} nats per token\n", *evaluated.noise_floor);
    if (evaluated.comparison) add_llama_table(*evaluated.comparison, json, outcome.text);
    return outcome;
  };
}

}  // namespace assay::cli
