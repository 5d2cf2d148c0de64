#include "cli/quantize_awq.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "assay/base/text.h"
#include "cli/table.h"

namespace assay::cli {
namespace {

Json measured_json(const AwqMeasured& measured) {
  return {{"kl", measured.kl.value}, {"kl_ci95", interval_json(measured.kl)}, {"ppl", measured.ppl}};
}

// "0.25 to 0.6, loss -12.3 %" by place, over the blocks.
std::string places_text(const QuantizeAwqResult& made) {
  struct Sums {
    double low = 2, high = -1, loss = 0, plain = 0;
    size_t count = 0;
  };
  std::map<std::string, Sums> places;
  for (const AwqGroupReport& group : made.groups) {
    Sums& sums = places[group.place];
    sums.low = std::min(sums.low, group.alpha);
    sums.high = std::max(sums.high, group.alpha);
    sums.loss += group.loss;
    sums.plain += group.plain_loss;
    ++sums.count;
  }
  Table table({"scaled", "blocks", "alpha", "error of outputs, plain", "scaled", "change"});
  for (const auto& [place, sums] : places) {
    const auto n = static_cast<double>(sums.count);
    table.add({place, std::to_string(sums.count), fmt::format("{:.2f} to {:.2f}", sums.low, sums.high),
               fmt::format("{:.4g}", sums.plain / n), fmt::format("{:.4g}", sums.loss / n),
               fmt::format("{:+.1f} %", sums.plain > 0 ? 100 * (sums.loss / sums.plain - 1) : 0)});
  }
  return table.text();
}

}  // namespace

void AwqCommand::declare(CLI::App& app) {
  app.add_option("--method", method_, "nearest, or awq: scale channels by their activations and fold the scales into neighbours")
      ->check(CLI::IsMember({"nearest", "awq"}));
  const auto own = [&](CLI::Option* option) { own_.push_back(option->group("Only with --method awq")); };
  own(app.add_option("--evaluation", evaluation, "text to measure KL and perplexity on, before and after; else the calibration text"));
  own(app.add_option("--awq-loss", loss_, "linears: error of the matrices' outputs; module: of the attention's or MLP's, as published")
          ->check(CLI::IsMember({"linears", "module"})));
  own(app.add_option("--awq-search", search_, "what scales are searched for: type (each matrix's own), or grid (--awq-bits, --awq-group)")
          ->check(CLI::IsMember({"type", "grid"})));
  own(app.add_option("--awq-bits", awq_.grid.bits, "of the grid, which F16, BF16 and F32 files are rounded to")
          ->capture_default_str()
          ->check(CLI::Range(2, 8)));
  own(app.add_option("--awq-group", awq_.grid.group, "weights of a row with one scale")
          ->capture_default_str()
          ->check(CLI::Range(8, 65536)));
  own(app.add_flag("--awq-symmetric", symmetric_, "the grid has no zero point"));
  own(app.add_option("--awq-clip", clip_, "search clips of weights: auto (where the file is on the grid), on or off")
          ->check(CLI::IsMember({"auto", "on", "off"})));
}

Status AwqCommand::check(bool moments, bool calibration) const {
  for (const CLI::Option* option : own_)
    if (!wanted() && option->count() > 0)
      return fail(ErrorCode::kUsage, {"quantize: " + option->get_name(), "goes with --method awq", "", ""});
  if (!wanted()) return {};
  if (moments)
    return fail(ErrorCode::kUsage, {"quantize: --method awq", "does not take --moments: they are of the inputs before scaling",
                                    "--calibration TEXT, and --codes best for codes chosen under the scaled inputs' moments", ""});
  if (!calibration) return fail(ErrorCode::kUsage, "quantize: --method awq needs --calibration TEXT, on which its scales are chosen");
  return {};
}

QuantizeAwqOptions AwqCommand::options(const std::string& model, const std::string& output, const QuantizeOptions& file,
                                       const TextInput& calibration, Codes codes) const {
  QuantizeAwqOptions all;
  all.model = model;
  all.output = output;
  all.file = file;
  all.calibration = calibration;
  all.evaluation = evaluation;
  all.awq = awq_;
  all.awq.grid.zero_point = !symmetric_;
  all.awq.loss = loss_ == "module" ? AwqLoss::kModule : AwqLoss::kLinears;
  all.own_types = search_ == "type";
  if (clip_ != "auto") all.clip = clip_ == "on";
  all.codes = codes;
  return all;
}

void add_awq(const QuantizeAwqResult& made, Outcome& outcome) {
  Json groups = Json::array();
  for (const AwqGroupReport& group : made.groups)
    groups.push_back({{"layer", group.layer},
                      {"place", group.place},
                      {"tensors", group.tensors},
                      {"alpha", group.alpha},
                      {"loss", group.loss},
                      {"plain_loss", group.plain_loss}});
  outcome.result["awq"] = {{"groups", std::move(groups)},
                           {"on_grid", made.on_grid},
                           {"clipped", made.clipped},
                           {"base_ppl", made.base_ppl},
                           {"plain", measured_json(made.plain)},
                           {"scaled", measured_json(made.awq)},
                           {"change", made.change.value},
                           {"change_ci95", interval_json(made.change)},
                           {"measured_on", made.measured_on},
                           {"interval", made.interval_unit},
                           {"windows", made.windows},
                           {"tokens_scored", made.tokens_scored},
                           {"notes", made.notes}};
  add_units(made.units, outcome);
  Table table({"", "mean KL", "95 % interval", "perplexity"});
  const auto add = [&](const std::string& name, const AwqMeasured& measured) {
    table.add({name, fmt::format("{:.6f}", measured.kl.value), fmt::format("[{:.6f}, {:.6f}]", measured.kl.low, measured.kl.high),
               fmt::format("{:.4f}", measured.ppl)});
  };
  table.add({"unquantized", "0", "", fmt::format("{:.4f}", made.base_ppl)});
  add("before: nothing scaled, nearest codes", made.plain);
  add("after: AWQ", made.awq);
  outcome.text += places_text(made);
  if (made.on_grid) outcome.text += fmt::format("{:.1f} % of the groups clipped\n", 100 * made.clipped);
  outcome.text += table.text();
  outcome.text += fmt::format("KL divergence: {:+.1f} % [{:+.1f}, {:+.1f}] on {} ({} windows, 95 % over {})\n", 100 * made.change.value,
                              100 * made.change.low, 100 * made.change.high, made.measured_on, made.windows, made.interval_unit);
  for (const std::string& note : made.notes) outcome.text += "note: " + note + "\n";
}

}  // namespace assay::cli
