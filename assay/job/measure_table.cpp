#include <algorithm>
#include <chrono>

#include "assay/base/text.h"
#include "assay/job/table_variants.h"
#include "assay/plan/recipe_file.h"
#include "assay/probe/changes.h"
#include "assay/probe/statistics.h"
#include "assay/probe/sweep.h"

namespace assay {
namespace {

Result<Recipe> read_base_recipe(const MakeTableOptions& options, const std::shared_ptr<const Checkpoint>& checkpoint, Progress& progress) {
  if (options.base_recipe.empty()) return Recipe{};
  std::vector<std::string> losses;
  const ModelTensors model{options.model, checkpoint->tensors(), checkpoint};
  ASSAY_ASSIGN(const TensorTypeRules rules, read_recipe_rules(options.base_recipe, model, options.any_model, losses));
  for (const std::string& loss : losses) progress.log("not read from " + options.base_recipe + ": " + loss);
  ASSAY_ASSIGN(ResolvedRecipe resolved, resolve(rules, checkpoint->tensors()));
  for (const std::string& warning : resolved.warnings) progress.log("warning: " + warning);
  return std::move(resolved.recipe);
}

double mean_kl(const WindowSums& sums) { return sums.kl / static_cast<double>(sums.count); }

void fill_cell(DamageCell& cell, const Interval& damage, double floor) {
  cell.damage = damage.value;
  cell.standard_error = (damage.high - damage.low) / (2 * 1.96);
  cell.below_floor = damage.value < floor;
}

Recipe all_at(const std::vector<DamageRow>& rows, GgmlType type) {
  Recipe recipe;
  for (const DamageRow& row : rows)
    for (const DamageCell& cell : row.cells)
      if (cell.type == type)
        for (const std::string& tensor : row.tensors) recipe.types[tensor] = type;
  return recipe;
}

}  // namespace

Result<MakeTableResult> measure_table(const MakeTableOptions& options, const RunSettings& settings, Progress& progress) {
  apply_settings(settings);
  ASSAY_ASSIGN(const OpenModel model, open_model(options.model, settings, progress));
  ASSAY_ASSIGN(const ProbeSet set, open_windows(options.text, model));
  ASSAY_ASSIGN(const auto imatrix, open_imatrix(options.imatrix));
  ASSAY_ASSIGN(const Recipe base, read_base_recipe(options, model.checkpoint, progress));
  if (options.whole && !options.base_recipe.empty())
    return fail(ErrorCode::kUsage, "sweep: --whole measures against the unquantized model and goes without --base-recipe");
  const bool on_recipe = !options.base_recipe.empty();
  MakeTableResult result;
  result.table.estimator = on_recipe ? "measured:on recipe" : "measured";
  ASSAY_ASSIGN(result.table.model_sha256, fingerprint(*model.checkpoint));
  ASSAY_ASSIGN(UnitStore store, UnitStore::open(settings, model, progress));
  ASSAY_ASSIGN(result.table.noise_floor, noise_floor(store, model, set.windows, settings));
  result.table.rows = table_rows(*model.checkpoint, options.types, options.by);
  const uint64_t memory = memory_budget(settings);
  const ChangeSource changes(model.network, imatrix, ChangeOptions{memory / 8, settings.threads});
  const TableVariants maker(*model.network, changes, base);
  std::vector<NamedVariant> variants;
  for (const DamageRow& row : result.table.rows) {
    if (on_recipe) variants.push_back(maker.cell(row, std::nullopt));
    for (const DamageCell& cell : row.cells) variants.push_back(maker.cell(row, cell.type));
  }
  if (options.whole)
    for (const GgmlType type : options.types) variants.push_back(maker.recipe(all_at(result.table.rows, type)));
  const auto begin_time = std::chrono::steady_clock::now();
  MeasureOptions measure;
  measure.sweep.memory = tile_memory(settings);
  measure.depends_on = imatrix ? fingerprint(*imatrix) : "";
  ASSAY_ASSIGN(const ObservedVariants observed, measure_variants(model, set.windows, variants, store, measure, progress));
  result.measured_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_time).count();
  result.encoding_seconds = changes.encoding_seconds();
  const BootstrapOptions bootstrap_options{2000, settings.seed};
  size_t next = 0;
  for (DamageRow& row : result.table.rows) {
    const std::vector<WindowSums>* reference = on_recipe ? &observed[next++] : nullptr;
    for (DamageCell& cell : row.cells) {
      const std::vector<WindowSums>& own = observed[next++];
      const Interval damage =
          reference == nullptr
              ? bootstrap(own, mean_kl, bootstrap_options)
              : bootstrap_pair(
                    own, *reference, [](const WindowSums& a, const WindowSums& b) { return mean_kl(a) - mean_kl(b); }, bootstrap_options);
      fill_cell(cell, damage, result.table.noise_floor);
    }
  }
  if (options.whole)
    for (const GgmlType type : options.types) {
      result.whole.push_back({type, 0, 0, false});
      fill_cell(result.whole.back(), bootstrap(observed[next++], mean_kl, bootstrap_options), result.table.noise_floor);
    }
  result.units = store.counts();
  const Extent extent = observed.empty() ? Extent{} : extent_of(observed[0]);
  result.tokens_scored = extent.tokens;
  result.windows = extent.windows;
  result.documents = extent.documents;
  if (!observed.empty()) result.interval_unit = bootstrap_unit(observed[0]);
  return result;
}

}  // namespace assay
