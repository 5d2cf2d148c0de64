#include <fmt/format.h>

#include <algorithm>

#include "assay/base/text.h"
#include "cli/command.h"
#include "cli/table.h"

namespace assay::cli {
namespace {

constexpr double kPercentiles[] = {0, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1};

Json percentiles(std::vector<float> values) {
  std::sort(values.begin(), values.end());
  Json json = Json::object();
  for (const double f : kPercentiles) json[fmt::format("{:g}", 100 * f)] = quantile(values, f);
  return json;
}

void add_comparison(const Observation& seen, const EvaluateResult& evaluated, uint64_t seed, Json& json, Table& table) {
  const auto mean_of = [&](const WindowStatistic& statistic) { return bootstrap(seen.windows(), statistic, {2000, seed}); };
  const Interval kl = mean_of([](const WindowSums& s) { return s.kl / static_cast<double>(s.count); });
  const Interval flips = mean_of([](const WindowSums& s) { return static_cast<double>(s.flips) / static_cast<double>(s.count); });
  const Interval nll = mean_of([](const WindowSums& s) { return s.nll_difference / static_cast<double>(s.count); });
  const double tail = tail_mean(seen.kl_values());
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
  json["percentiles"] = {{"kl", percentiles(seen.kl_values())}, {"dp", percentiles(seen.dp_values())}};
  // llama.cpp's errors take tokens as independent: for comparing with its tables only.
  Moments kl_moments, dp_moments;
  for (const float value : seen.kl_values()) kl_moments.add(static_cast<double>(value));
  for (const float value : seen.dp_values()) dp_moments.add(static_cast<double>(value));
  const double n = static_cast<double>(seen.count());
  const double covariance = (seen.mean_nll_product() - seen.mean_nll() * seen.mean_nll_base()) / (n - 1);
  const double se_model = seen.nll_moments().iid_standard_error(), se_base = seen.nll_base_moments().iid_standard_error();
  const double same_top = 1 - flips.value;
  json["llama_cpp"] = {{"note", "errors assume independent tokens"},
                       {"mean_ppl_error", seen.ppl() * se_model},
                       {"base_ppl_error", seen.ppl_base() * se_base},
                       {"cor_ln_ppl", se_model * se_base > 0 ? covariance / (se_model * se_base) : 1.0},
                       {"mean_ln_ratio_error", std::sqrt(std::max(0.0, se_model * se_model + se_base * se_base - 2 * covariance))},
                       {"mean_kld_error", kl_moments.iid_standard_error()},
                       {"mean_dp_error", dp_moments.iid_standard_error()},
                       {"same_top_p", same_top},
                       {"same_top_p_error", std::sqrt(same_top * (1 - same_top) / (n - 1))}};
  const std::string below = evaluated.noise_floor && kl.value < *evaluated.noise_floor ? "  below the noise floor" : "";
  const auto range = [](const Interval& i, double scale, const char* format) {
    return fmt::format("[{}, {}]", fmt::format(fmt::runtime(format), i.low * scale), fmt::format(fmt::runtime(format), i.high * scale));
  };
  table.add({"perplexity of the base", fmt::format("{:.4f}", seen.ppl_base()), "", ""});
  table.add({"mean KL (base || model)", fmt::format("{:.6f}", kl.value), range(kl, 1, "{:.6f}"), "nats per token" + below});
  table.add({"tail KL, worst 5 %", fmt::format("{:.6f}", tail), "", "nats per token"});
  table.add({"flip rate", fmt::format("{:.3f}", 100 * flips.value), range(flips, 100, "{:.3f}"), "% of tokens with another top token"});
  table.add({"ln(PPL / base PPL)", fmt::format("{:.6f}", nll.value), range(nll, 1, "{:.6f}"), ""});
  table.add({"margin change", fmt::format("{:.4f}", seen.mean_margin_change()), "", "logits"});
  table.add({"mean, RMS of delta p", fmt::format("{:.3f}, {:.3f}", 100 * seen.mean_dp(), 100 * seen.rms_dp()), "", "% points"});
}

}  // namespace

Run declare_eval(CLI::App& app) {
  auto options = std::make_shared<EvaluateOptions>();
  app.add_option("model", options->model, "GGUF file, Hugging Face directory, or .safetensors file")->required();
  app.add_option("--base", options->base, "the model to compare with");
  auto text = add_text_options(app);
  return [options, text](Context& context) -> Result<Outcome> {
    options->text = {text->path, text->windows};
    ASSAY_ASSIGN(Engine* engine, context.engine());
    ASSAY_ASSIGN(const EvaluateResult evaluated, engine->evaluate(*options, context.settings, context.progress));
    Outcome outcome;
    outcome.inputs = {options->model, options->base, text->path};
    outcome.noise_floor = evaluated.noise_floor;
    Json& json = outcome.result;
    json["ppl"] = evaluated.ppl.value;
    json["ppl_ci95"] = interval_json(evaluated.ppl);
    json["nll"] = evaluated.nll;
    json["tokens_scored"] = evaluated.tokens_scored;
    json["windows"] = evaluated.windows;
    json["documents"] = evaluated.documents;
    json["interval"] = "95 % bootstrap over " + evaluated.interval_unit;
    Table table({"measure", "value", "95 % interval", ""});
    table.add({"perplexity", fmt::format("{:.4f}", evaluated.ppl.value), fmt::format("[{:.4f}, {:.4f}]", evaluated.ppl.low, evaluated.ppl.high), ""});
    if (evaluated.comparison) add_comparison(*evaluated.comparison, evaluated, context.settings.seed, json, table);
    outcome.text = table.text();
    outcome.text += fmt::format("{} tokens scored in {} windows of {} documents; intervals: bootstrap over {}\n", group_digits(evaluated.tokens_scored), evaluated.windows,
                                evaluated.documents, evaluated.interval_unit);
    if (evaluated.noise_floor) outcome.text += fmt::format("noise floor of these options: {:.2g} nats per token\n", *evaluated.noise_floor);
    return outcome;
  };
}

}  // namespace assay::cli
