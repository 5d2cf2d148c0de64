// `assay probe`: any variants of a model on a text, and one of them as a file.
#include <fmt/format.h>

#include <algorithm>

#include "assay/base/text.h"
#include "assay/plan/quantize_job.h"
#include "assay/probe/variant_io.h"
#include "assay/probe/write_variant.h"
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
          {"place", variant.place},
          {"windows", variant.windows},
          {"forward_equivalents", variant.forward_equivalents}};
}

// With --against: in the table and the JSON.
std::string change_text(const Interval& change) {
  return fmt::format("{:+.1f} % [{:+.1f}, {:+.1f}]", 100 * change.value, 100 * change.low, 100 * change.high);
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

std::string cost_text(const ProbeResult& result, const std::optional<StopRule>& until) {
  const auto windows = static_cast<double>(std::max<uint64_t>(1, result.windows));
  std::string text = fmt::format("cost {:.1f} forward passes of the text in place of {}\n", result.forward_equivalents / windows,
                                 group_digits(result.variants.size()));
  if (!until) return text;
  uint64_t measured = 0;
  for (const ProbedVariant& variant : result.variants) measured += variant.windows;
  text += fmt::format("stopped early: {:.1f} % of the windows measured, {:.1f} forward passes saved; ",
                      100 * static_cast<double>(measured) / (windows * static_cast<double>(result.variants.size())),
                      (result.all_forward_equivalents - result.forward_equivalents) / windows);
  text += until->kind == StopRule::Kind::kRankStable
              ? fmt::format("of two variants settled early, all windows would say otherwise in at most {:.2g} % of cases\n",
                            100 * until->error_rate)
              : fmt::format("intervals hold the mean over all windows in at least {:.2g} % of cases\n", 100 * (1 - until->error_rate));
  return text;
}

std::string text_of(const ProbeResult& result, const ProbeOptions& options) {
  const auto& until = options.until;
  std::vector<std::string> columns = {"variant", "KL (nats per token)", "ln(ppl ratio)", "flips", "forward passes"};
  if (!options.against.empty()) columns.push_back("KL against " + printable(options.against));
  if (until) columns.insert(columns.end(), {"windows", "place"});
  Table table(columns);
  size_t below = 0, broken = 0;
  for (const ProbedVariant& variant : result.variants) {
    below += variant.below_floor;
    broken += variant.non_finite > 0;
    if (&variant - result.variants.data() >= static_cast<ptrdiff_t>(kMostLines)) continue;
    std::vector<std::string> row = {
        printable(variant.name), variant.below_floor ? "< floor" : with_interval(variant.kl),
        variant.below_floor ? "" : fmt::format("{:+.4g}{}", variant.nll_difference.value, variant.non_finite ? " (not finite)" : ""),
        fmt::format("{:.2f} %", 100 * variant.flip_rate.value), fmt::format("{:.2f}", variant.forward_equivalents)};
    if (!options.against.empty()) row.push_back(change_text(variant.change));
    if (until) row.insert(row.end(), {std::to_string(variant.windows), std::to_string(variant.place)});
    table.add(row);
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
  text += "\n" + cost_text(result, until);
  for (const std::string& note : result.notes) text += "note: " + note + "\n";
  return text;
}

struct Options {
  ProbeOptions probe;
  std::string layers, until, write, name;
};

std::string_view type_name(GgmlType type) { return find_type(type)->name; }

Json written_json(const std::string& path, const Variant& variant, const WrittenVariant& written) {
  Json tensors = Json::array();
  for (const WrittenTensor& tensor : written.tensors)
    tensors.push_back({{"name", tensor.name},
                       {"source", tensor.source},
                       {"form", name_of(tensor.form)},
                       {"from", type_name(tensor.from)},
                       {"to", type_name(tensor.to)},
                       {"changed", tensor.counts.changed},
                       {"rounded", tensor.counts.rounded},
                       {"non_finite", tensor.counts.non_finite}});
  return {{"output", path},           {"variant", variant.name},      {"hash", hash_of(variant)}, {"bytes", written.file_bytes},
          {"blocks", written.blocks}, {"tensors", std::move(tensors)}};
}

std::string what_became_of(const WrittenTensor& tensor) {
  const StoredCounts& counts = tensor.counts;
  std::string text(name_of(tensor.form));
  if (tensor.form == StoredForm::kZeroed) return text;
  text += "; weights changed: " + group_digits(counts.changed);
  if (counts.rounded > 0) text += fmt::format(", rounded to {}: {}", type_name(tensor.to), group_digits(counts.rounded));
  if (counts.non_finite > 0) text += ", NaN or infinite: " + group_digits(counts.non_finite);
  return text;
}

std::string written_text(const std::string& path, const Variant& variant, const WrittenVariant& written) {
  std::string text;
  if (!written.tensors.empty()) {
    Table table({"tensor", "from", "to", "how"});
    size_t types = 0;
    for (const WrittenTensor& tensor : written.tensors) {
      table.add({printable(tensor.name), std::string(type_name(tensor.from)), std::string(type_name(tensor.to)), what_became_of(tensor)});
      types += tensor.from != tensor.to;
    }
    text = table.text() + fmt::format("{} tensors changed, {} of them to another type\n", written.tensors.size(), types);
  }
  return text + fmt::format("{}: variant '{}', {} blocks, {} tensors, {} bytes\n", path, printable(variant.name), written.blocks.size(),
                            written.tensor_count, group_digits(written.file_bytes));
}

Status write_one(const Options& options, Context& context, Outcome& outcome) {
  const ProbeOptions& probe = options.probe;
  ASSAY_ASSIGN(VariantFile file, read_variants(probe.variants));
  override_families(file, probe.layers, probe.samples);
  ASSAY_ASSIGN(const auto checkpoint, Checkpoint::open(probe.model));
  ASSAY_ASSIGN(const Hyper hyper, parse_hyper(checkpoint->metadata(), checkpoint->find("output.weight") != nullptr));
  ASSAY_ASSIGN(const VariantSet set, expand(file, ModelShape(hyper, checkpoint->tensors())));
  ASSAY_ASSIGN(const Variant* variant, choose_variant(set, options.name));
  std::optional<Imatrix> imatrix;
  if (!probe.imatrix.empty()) {
    ASSAY_ASSIGN(imatrix, read_imatrix(probe.imatrix));
  }
  WriteVariantOptions write;
  write.imatrix = imatrix ? &*imatrix : nullptr;
  // What `convert` adds to a checkpoint that is no GGUF.
  ASSAY_ASSIGN(const OutputRequest conversion, conversion_request(*checkpoint, "auto"));
  ASSAY_ASSIGN(const OutputFile converted, plan_output(*checkpoint, conversion));
  write.defaults = converted.metadata.entries();
  for (const std::string& input : {probe.variants, probe.imatrix, probe.text.path})
    if (!input.empty()) write.inputs.push_back(input);
  write.force = context.common.force;
  write.threads = context.common.threads;
  ASSAY_ASSIGN(const WrittenVariant written, write_variant(*checkpoint, *variant, options.write, write, context.progress));
  for (const std::string& path : files_of(*variant)) outcome.inputs.push_back(path);
  outcome.result["written"] = written_json(options.write, *variant, written);
  outcome.text = written_text(options.write, *variant, written);
  return {};
}

Status measure(const Options& options, Context& context, Outcome& outcome) {
  ASSAY_ASSIGN(Engine * engine, context.engine());
  ASSAY_ASSIGN(const ProbeResult result, engine->probe_variants(options.probe, context.settings, context.progress));
  for (const std::string& path : result.files)
    if (std::find(outcome.inputs.begin(), outcome.inputs.end(), path) == outcome.inputs.end()) outcome.inputs.push_back(path);
  outcome.noise_floor = result.noise_floor;
  Json variants = Json::array(), groups = Json::array();
  for (const ProbedVariant& variant : result.variants) {
    variants.push_back(variant_json(variant));
    if (options.probe.against.empty()) continue;
    variants.back()["change"] = variant.change.value;
    variants.back()["change_ci95"] = interval_json(variant.change);
  }
  for (const ProbedGroup& group : result.groups) groups.push_back(group_json(group, result));
  outcome.result.update({{"variants", std::move(variants)},
                         {"groups", std::move(groups)},
                         {"notes", result.notes},
                         {"base_nll", result.base_nll},
                         {"tokens_scored", result.tokens_scored},
                         {"windows", result.windows},
                         {"documents", result.documents},
                         {"interval", result.interval_unit},
                         {"forward_equivalents", result.forward_equivalents}});
  if (!options.probe.against.empty()) outcome.result["against"] = options.probe.against;
  if (const auto& until = options.probe.until)
    outcome.result["until"] = {{"rule", until->kind == StopRule::Kind::kWidth ? "ci" : "rank-stable"},
                               {"width", until->width},
                               {"error_rate", until->error_rate},
                               {"all_forward_equivalents", result.all_forward_equivalents}};
  outcome.run_facts = {{"measured_seconds", result.seconds}};
  add_units(result.units, outcome);
  outcome.text += text_of(result, options.probe);
  return {};
}

}  // namespace

Run declare_probe(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("model", options->probe.model, "GGUF file or Hugging Face directory")->required();
  app.add_option("--variants", options->probe.variants, "JSON or YAML file of variants and families (docs/variants.md)")->required();
  app.add_option("--layers", options->layers, "layers of the families that name none, e.g. 0-5,9");
  app.add_option("--against", options->probe.against,
                 "compare every variant with this one, window by window: change of mean KL with its interval");
  app.add_option("--samples-per-matrix", options->probe.samples, "weights or bytes that sampling families draw from each matrix");
  app.add_option(
         "--until", options->until,
         "stop measuring a variant when it is settled: ci=0.1 (interval within 10 %) or rank-stable (its place); error=0.01 after a "
         "comma for another error rate than 0.05")
      ->excludes(app.get_option("--against"));
  app.add_option("--imatrix", options->probe.imatrix, "importance matrix for the encoders");
  CLI::Option* write =
      app.add_option("--write", options->write, "save one variant as a GGUF that llama.cpp loads; without --text nothing is measured");
  app.add_option("--name", options->name, "the variant to save, where the file has more than one")->needs(write);
  auto text = add_text_options(app);
  app.get_option("--text")->required(false);
  return [=](Context& context) -> Result<Outcome> {
    if (!options->until.empty()) {
      ASSAY_ASSIGN(options->probe.until, parse_stop_rule(options->until));
    }
    ASSAY_TRY(locate_model(options->probe.model, context));
    if (!text->path.empty()) {
      ASSAY_TRY(locate_text(text->path, context));
      ASSAY_TRY(context.begin({options->probe.model, text->path, options->probe.variants, options->probe.imatrix}));
    }
    options->probe.text = {text->path, text->windows};
    if (!options->layers.empty()) {
      ASSAY_ASSIGN(options->probe.layers, parse_layers(options->layers));
    }
    if (text->path.empty() && options->write.empty())
      return fail(ErrorCode::kUsage, "probe: --text FILE measures the variants, --write OUT.gguf saves one of them; one is needed");
    Outcome outcome;
    outcome.result = Json::object();
    for (const std::string& path : {options->probe.model, options->probe.text.path, options->probe.variants, options->probe.imatrix})
      outcome.inputs.push_back(path);
    if (!options->write.empty()) ASSAY_TRY(write_one(*options, context, outcome));
    if (!text->path.empty()) ASSAY_TRY(measure(*options, context, outcome));
    return outcome;
  };
}

}  // namespace assay::cli
