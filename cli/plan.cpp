#include <fmt/format.h>

#include "assay/base/text.h"
#include "assay/file/atomic_writer.h"
#include "assay/plan/allocate.h"
#include "assay/plan/budget.h"
#include "cli/command.h"
#include "cli/table.h"

namespace assay::cli {

Run declare_plan(CLI::App& app) {
  struct Options {
    std::string model, table, output, types, min_type, size, like;
    double bpw = 0;
    std::vector<std::string> keep;
  };
  auto options = std::make_shared<Options>();
  app.add_option("model", options->model, kModelHelp)->required();
  app.add_option("--table", options->table, "damage table: JSON of sweep or score")->required();
  app.add_option("--output,-o", options->output, "recipe file to write (REGEX=TYPE lines)");
  app.add_option("--bpw", options->bpw, "bits per weight over all tensor bytes");
  app.add_option("--size", options->size, "file size: 700MiB, 30%");
  app.add_option("--like", options->like, "the bytes of a preset's file");
  app.add_option("--types", options->types, "allowed types");
  app.add_option("--min-type", options->min_type, "no type with fewer bits than this one");
  app.add_option("--keep", options->keep, "REGEX=TYPE: tensors that must take a type");
  return [options](Context& context) -> Result<Outcome> {
    ASSAY_TRY(locate_model(options->model, context));
    ASSAY_ASSIGN(const auto checkpoint, Checkpoint::open(options->model));
    ASSAY_ASSIGN(const std::string text, read_text_file(options->table));
    ASSAY_ASSIGN(const DamageTable table, damage_table_from_json(text));
    BudgetRequest budget;
    if (options->bpw > 0) budget.bpw = options->bpw;
    if (!options->size.empty()) budget.size = options->size;
    if (!options->like.empty()) budget.like = options->like;
    AllocateConstraints constraints;
    if (!options->types.empty()) {
      ASSAY_ASSIGN(constraints.types, parse_types(options->types));
    }
    if (!options->min_type.empty()) {
      ASSAY_ASSIGN(const auto least, parse_types(options->min_type));
      constraints.min_type = least[0];
    }
    for (const std::string& rule : options->keep) {
      const size_t equals = rule.rfind('=');
      if (equals == std::string::npos) return fail(ErrorCode::kUsage, {"--keep '" + printable(rule) + "'", "has no '='", "REGEX=TYPE", ""});
      ASSAY_ASSIGN(const auto type, parse_types(rule.substr(equals + 1)));
      constraints.keep.emplace_back(rule.substr(0, equals), type[0]);
    }
    ASSAY_ASSIGN(const uint64_t bytes, budget_bytes(*checkpoint, budget, {}));
    ASSAY_ASSIGN(const Plan plan, allocate(*checkpoint, table, bytes, constraints, {}));
    Outcome outcome;
    outcome.inputs = {options->model, options->table};
    Json recipe = Json::object();
    Table lines({"tensor", "type"});
    for (const auto& [name, type] : plan.recipe.types) {
      recipe[name] = find_type(type)->name;
      lines.add({name, find_type(type)->name});
    }
    outcome.result = {{"recipe", recipe},
                      {"bytes", plan.file_bytes},
                      {"budget_bytes", plan.budget_bytes},
                      {"bpw", plan.bpw},
                      {"predicted_kl", plan.predicted_damage},
                      {"bound", plan.bound},
                      {"gap", plan.gap},
                      {"exact", plan.exact}};
    outcome.text =
        lines.text() + fmt::format("{} of {} bytes, {:.4f} bits per weight; predicted damage {:.6g}, bound {:.6g}, gap {:.4f} %{}\n",
                                   group_digits(plan.file_bytes), group_digits(plan.budget_bytes), plan.bpw, plan.predicted_damage,
                                   plan.bound, 100 * plan.gap, plan.exact ? " (proven optimal)" : "");
    if (!options->output.empty())
      ASSAY_TRY(write_text_file(options->output, to_text(plan.recipe), {context.common.force, outcome.inputs, 0}));
    return outcome;
  };
}

}  // namespace assay::cli
