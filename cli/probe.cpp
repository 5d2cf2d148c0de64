// `assay probe`: any variants of a model on a text.
#include <fmt/format.h>

#include "assay/base/text.h"
#include "cli/command.h"
#include "cli/table.h"

namespace assay::cli {
namespace {

constexpr size_t kMostLines = 60;  // of the table on a terminal; the JSON has all

Json variant_json(const ProbedVariant& variant) {
  return {{"name", variant.name},
          {"hash", variant.hash},
          {"mean_kl", variant.kl.value},
          {"mean_kl_ci95", interval_json(variant.kl)},
          {"ln_ppl_ratio", variant.nll_difference.value},
          {"ln_ppl_ratio_ci95", interval_json(variant.nll_difference)},
          {"ppl_ratio", variant.ppl_ratio},
          {"flip_rate", variant.flip_rate.value},
          {"flip_rate_ci95", interval_json(variant.flip_rate)},
          {"non_finite", variant.non_finite},
          {"below_floor", variant.below_floor},
          {"forward_equivalents", variant.forward_equivalents}};
}

Json group_json(const ProbedGroup& group, const ProbeResult& result) {
  Json members = Json::array();
  for (const size_t member : group.members) members.push_back(result.variants[member].name);
  const bool joint = group.kind == VariantGroup::Kind::kJoint;
  return {{"kind", joint ? "joint" : "two-sided"},
          {"members", std::move(members)},
          {joint ? "interaction" : "mean_abs_nll_difference", group.value.value},
          {"ci95", interval_json(group.value)}};
}

std::string with_interval(const Interval& interval) {
  return fmt::format("{:.4g} [{:.3g}, {:.3g}]", interval.value, interval.low, interval.high);
}

std::string text_of(const ProbeResult& result) {
  Table table({"variant", "KL (nats per token)", "ln(ppl ratio)", "flips", "forward passes"});
  size_t below = 0, broken = 0;
  for (const ProbedVariant& variant : result.variants) {
    below += variant.below_floor;
    broken += variant.non_finite > 0;
    if (&variant - result.variants.data() >= static_cast<ptrdiff_t>(kMostLines)) continue;
    table.add({printable(variant.name), variant.below_floor ? "< floor" : with_interval(variant.kl),
               variant.below_floor ? "" : fmt::format("{:+.4g}{}", variant.nll_difference.value, variant.non_finite ? " (not finite)" : ""),
               fmt::format("{:.2f} %", 100 * variant.flip_rate.value), fmt::format("{:.2f}", variant.forward_equivalents)});
  }
  std::string text = table.text();
  if (result.variants.size() > kMostLines)
    text += fmt::format("... and {} more: --json has all\n", group_digits(result.variants.size() - kMostLines));
  Table joint({"joint", "I(S) = A(S) - sum A({c})"});
  size_t shown = 0;
  for (const ProbedGroup& group : result.groups)
    if (group.kind == VariantGroup::Kind::kJoint && ++shown <= kMostLines)
      joint.add({printable(result.variants[group.members[0]].name), with_interval(group.value)});
  if (shown > 0) text += "\n" + joint.text();
  text +=
      fmt::format("{} variants on {} windows, {} tokens scored each; noise floor {:.2g}, {} below it", group_digits(result.variants.size()),
                  result.windows, group_digits(result.tokens_scored), result.noise_floor, group_digits(below));
  if (broken > 0) text += fmt::format("; {} with logits that are not finite, counted as uniform there", group_digits(broken));
  text += fmt::format("\ncost {:.1f} forward passes of the text in place of {}\n",
                      result.forward_equivalents / static_cast<double>(std::max<uint64_t>(1, result.windows)),
                      group_digits(result.variants.size()));
  for (const std::string& note : result.notes) text += "note: " + note + "\n";
  return text;
}

struct Options {
  ProbeOptions probe;
  std::string layers, write;
};

}  // namespace

Run declare_probe(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("model", options->probe.model, "GGUF file or Hugging Face directory")->required();
  app.add_option("--variants", options->probe.variants, "JSON or YAML file of variants and families (docs/variants.md)")->required();
  app.add_option("--layers", options->layers, "layers of the families that name none, e.g. 0-5,9");
  app.add_option("--samples-per-matrix", options->probe.samples, "weights or bytes that sampling families draw from each matrix");
  app.add_option("--imatrix", options->probe.imatrix, "importance matrix for the encoders");
  auto text = add_text_options(app);
  return [=](Context& context) -> Result<Outcome> {
    ASSAY_TRY(locate_model(options->probe.model, context));
    ASSAY_TRY(locate_text(text->path, context));
    ASSAY_TRY(context.begin({options->probe.model, text->path, options->probe.variants, options->probe.imatrix}));
    options->probe.text = {text->path, text->windows};
    if (!options->layers.empty()) {
      ASSAY_ASSIGN(options->probe.layers, parse_layers(options->layers));
    }
    ASSAY_ASSIGN(Engine * engine, context.engine());
    ASSAY_ASSIGN(const ProbeResult result, engine->probe_variants(options->probe, context.settings, context.progress));
    Outcome outcome;
    outcome.inputs = {options->probe.model, options->probe.text.path, options->probe.variants, options->probe.imatrix};
    outcome.inputs.insert(outcome.inputs.end(), result.files.begin(), result.files.end());
    outcome.noise_floor = result.noise_floor;
    Json variants = Json::array(), groups = Json::array();
    for (const ProbedVariant& variant : result.variants) variants.push_back(variant_json(variant));
    for (const ProbedGroup& group : result.groups) groups.push_back(group_json(group, result));
    outcome.result = {
        {"variants", std::move(variants)}, {"groups", std::move(groups)},           {"notes", result.notes},
        {"base_nll", result.base_nll},     {"tokens_scored", result.tokens_scored}, {"windows", result.windows},
        {"documents", result.documents},   {"interval", result.interval_unit},      {"forward_equivalents", result.forward_equivalents}};
    outcome.run_facts = {{"measured_seconds", result.seconds}};
    add_units(result.units, outcome);
    outcome.text = text_of(result);
    return outcome;
  };
}

}  // namespace assay::cli
