// `assay sweep`: damage tables, measured.
#include <fmt/format.h>

#include "assay/base/text.h"
#include "cli/command.h"
#include "cli/table.h"

namespace assay::cli {
namespace {

struct Options {
  MakeTableOptions table;
  std::string types = "Q2_K,Q3_K,Q4_K,Q5_K,Q6_K,IQ4_XS,Q8_0";
};

Outcome outcome_of(const MakeTableResult& made, const Options& options) {
  Outcome outcome;
  outcome.inputs = {options.table.model, options.table.text.path, options.table.imatrix, options.table.base_recipe};
  if (made.table.noise_floor > 0) outcome.noise_floor = made.table.noise_floor;
  outcome.result = {{"table", Json::parse(to_json(made.table))},
                    {"tokens_scored", made.tokens_scored},
                    {"windows", made.windows},
                    {"documents", made.documents},
                    {"interval", made.interval_unit}};
  for (const DamageCell& cell : made.whole)
    outcome.result["whole"].push_back({{"type", find_type(cell.type)->name},
                                       {"damage", cell.damage},
                                       {"standard_error", cell.standard_error},
                                       {"below_floor", cell.below_floor}});
  outcome.run_facts = {{"measured_seconds", made.measured_seconds}, {"encoding_seconds", made.encoding_seconds}};
  add_units(made.units, outcome);
  std::vector<std::string> header = {"damage (KL, nats per token)"};
  for (const GgmlType type : options.table.types) header.emplace_back(find_type(type)->name);
  Table table(header);
  size_t below = 0, all = 0;
  for (const DamageRow& row : made.table.rows) {
    std::vector<std::string> line = {row.name};
    for (const GgmlType type : options.table.types) {
      std::string text;
      for (const DamageCell& cell : row.cells) {
        if (cell.type != type) continue;
        text = cell.below_floor ? "< floor" : fmt::format("{:.3g}", cell.damage);
        below += cell.below_floor;
        ++all;
      }
      line.push_back(text);
    }
    table.add(std::move(line));
  }
  if (!made.whole.empty()) {
    std::vector<std::string> line = {"whole model"};
    for (const DamageCell& cell : made.whole) line.push_back(cell.below_floor ? "< floor" : fmt::format("{:.3g}", cell.damage));
    table.add(std::move(line));
  }
  outcome.text = table.text();
  outcome.text += fmt::format("{}: {} windows, {} tokens scored", made.table.estimator, made.windows, group_digits(made.tokens_scored));
  if (made.table.noise_floor > 0)
    outcome.text += fmt::format("; noise floor {:.2g}, {} of {} cells below it", made.table.noise_floor, below, all);
  outcome.text += "\n";
  return outcome;
}

std::shared_ptr<Options> add_options(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("model", options->table.model, kModelHelp)->required();
  app.add_option("--types", options->types, "ggml types, comma-separated")->capture_default_str();
  app.add_option("--imatrix", options->table.imatrix, "importance matrix for the encoders");
  return options;
}

Status prepare(Options& options, TextOptions& text, Context& context) {
  ASSAY_TRY(locate_model(options.table.model, context));
  ASSAY_TRY(locate_text(text.path, context));
  ASSAY_ASSIGN(options.table.types, parse_types(options.types));
  options.table.text = {text.path, text.windows};
  options.table.any_model = context.common.force;
  return {};
}

}  // namespace

Run declare_sweep(CLI::App& app) {
  auto options = add_options(app);
  app.add_option_function<std::string>(
         "--by",
         [options](const std::string& by) {
           options->table.by = by == "layer" ? Grouping::kLayer : by == "group" ? Grouping::kGroup : Grouping::kTensor;
         },
         "tensor, layer, or group (a layer's attention, a layer's feed-forward)")
      ->check(CLI::IsMember({"tensor", "layer", "group"}));
  app.add_option("--base-recipe", options->table.base_recipe,
                 "measure on top of this recipe: all other tensors have its types, and damage is what the tensor adds to that");
  app.add_flag("--whole", options->table.whole, "measure the whole model at each type, too: what export --format thireus needs");
  auto text = add_text_options(app);
  return [=](Context& context) -> Result<Outcome> {
    ASSAY_TRY(prepare(*options, *text, context));
    ASSAY_TRY(context.begin({options->table.model, options->table.text.path, options->table.imatrix, options->table.base_recipe}));
    ASSAY_ASSIGN(Engine * engine, context.engine());
    ASSAY_ASSIGN(const MakeTableResult made, engine->measure_table(options->table, context.settings, context.progress));
    return outcome_of(made, *options);
  };
}

}  // namespace assay::cli
