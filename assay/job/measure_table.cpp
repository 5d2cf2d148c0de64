#include <algorithm>
#include <chrono>

#include "assay/base/sha256.h"
#include "assay/base/text.h"
#include "assay/file/atomic_writer.h"
#include "assay/job/table_rows.h"
#include "assay/plan/recipe_io.h"
#include "assay/probe/changes.h"
#include "assay/probe/observation_payload.h"
#include "assay/probe/statistics.h"
#include "assay/probe/sweep.h"

namespace assay {
namespace {

// Variants of one unit: with 512 tokens of a 0.5 B model about a minute on two cores, and far more than a product needs to be efficient.
constexpr size_t kVariantsPerUnit = 96;

using Observed = std::vector<std::vector<WindowSums>>;  // [variant][window]

// What a unit of variants is called: all their edits, in order.
std::string unit_name(std::span<const ResolvedVariant> variants) {
  Sha256 name;
  for (const ResolvedVariant& variant : variants) {
    name.add(uint64_t{variant.edits.size()});
    for (const ResolvedEdit& edit : variant.edits) name.add(std::to_string(edit.layer) + ':' + edit.key + ';');
  }
  return name.hex();
}

// Every variant on every window. Units: one window, up to kVariantsPerUnit variants.
Result<Observed> measure_variants(const OpenModel& model, const ProbeSet& set, std::span<const ResolvedVariant> variants, UnitStore& store,
                                  const Imatrix* imatrix, const SweepOptions& sweep, Progress& progress) {
  Observed observed(variants.size());
  const std::string importance = imatrix != nullptr ? fingerprint(*imatrix) : "";
  const size_t units_per_window = (variants.size() + kVariantsPerUnit - 1) / kVariantsPerUnit;
  progress.stage("sweep", set.windows.size() * variants.size());
  store.plan(set.windows.size() * units_per_window);
  UninterruptedProgress unit_progress(progress);
  uint64_t done = 0;
  for (size_t w = 0; w < set.windows.size(); ++w) {
    const auto window = std::span(set.windows).subspan(w, 1);
    const auto units = store.units(store.key("sweep").add("imatrix", importance).add("windows", fingerprint(window)));
    std::vector<WindowSums> all;
    bool left_out = false;
    for (size_t begin = 0; begin < variants.size() && !left_out; begin += kVariantsPerUnit) {
      const auto some = variants.subspan(begin, std::min(kVariantsPerUnit, variants.size() - begin));
      const auto run = [&]() -> Result<std::string> {
        std::vector<WindowSums> sums(some.size());
        ASSAY_TRY(run_sweep(
            *model.network, window, some, sweep,
            [&](size_t variant, size_t, std::span<const PositionObservation> positions) {
              sums[variant] = sum_window(window[0].document, positions);
              progress.update(++done);
            },
            unit_progress));
        return to_payload(sums);
      };
      const auto payload = find_or_make(*units, unit_name(some), run);
      left_out = !payload && is_left_out(*units, payload.error());
      if (left_out) break;
      if (!payload) return fail(payload.error());
      ASSAY_ASSIGN(const std::vector<WindowSums> sums, window_sums_from_payload(*payload));
      if (sums.size() != some.size()) return fail(ErrorCode::kBadInput, "store: a finished unit has another number of variants");
      all.insert(all.end(), sums.begin(), sums.end());
      progress.update(done = w * variants.size() + begin + some.size());
    }
    if (left_out) continue;
    for (size_t v = 0; v < variants.size(); ++v) observed[v].push_back(all[v]);
  }
  if (!variants.empty() && observed[0].empty()) return fail(ErrorCode::kNotFound, "sweep: no window is finished yet");
  return observed;
}

Result<Recipe> read_base_recipe(const std::string& path, const Checkpoint& checkpoint, Progress& progress) {
  if (path.empty()) return Recipe{};
  ASSAY_ASSIGN(const std::string text, read_text_file(path));
  TensorTypeRules rules;
  if (const Status added = rules.add_text(text); !added) return fail(added.error().code, path + ": " + added.error().message);
  ASSAY_ASSIGN(ResolvedRecipe resolved, resolve(rules, checkpoint.tensors()));
  for (const std::string& warning : resolved.warnings) progress.log("warning: " + warning);
  return std::move(resolved.recipe);
}

// Makes the variants of a table: each cell's, and with a base recipe each row's reference, where the row's tensors stay unquantized.
class TableVariants {
 public:
  TableVariants(const Network& network, const ChangeSource& changes, const Recipe& base)
      : network_(network), changes_(changes), base_(base) {}

  // The recipe's types for all tensors but the row's, and `type` (none: as they are) for those.
  ResolvedVariant variant(const DamageRow& row, std::optional<GgmlType> type) const {
    ResolvedVariant variant;
    const auto add = [&](const std::string& tensor, GgmlType to) {
      for (ResolvedEdit& edit : requantize_edits(network_, changes_, tensor, to)) variant.edits.push_back(std::move(edit));
    };
    for (const auto& [tensor, to] : base_.types)
      if (std::find(row.tensors.begin(), row.tensors.end(), tensor) == row.tensors.end()) add(tensor, to);
    if (type)
      for (const std::string& tensor : row.tensors) add(tensor, *type);
    return variant;
  }

 private:
  const Network& network_;
  const ChangeSource& changes_;
  const Recipe& base_;
};

double mean_kl(const WindowSums& sums) { return sums.kl / static_cast<double>(sums.count); }

void fill_cell(DamageCell& cell, const Interval& damage, double floor) {
  cell.damage = damage.value;
  cell.standard_error = (damage.high - damage.low) / (2 * 1.96);
  cell.below_floor = damage.value < floor;
}

}  // namespace

Result<MakeTableResult> measure_table(const MakeTableOptions& options, const RunSettings& settings, Progress& progress) {
  apply_settings(settings);
  ASSAY_ASSIGN(const OpenModel model, open_model(options.model, settings, progress));
  ASSAY_ASSIGN(const ProbeSet set, open_windows(options.text, model));
  ASSAY_ASSIGN(const auto imatrix, open_imatrix(options.imatrix));
  ASSAY_ASSIGN(const Recipe base, read_base_recipe(options.base_recipe, *model.checkpoint, progress));
  const bool on_recipe = !options.base_recipe.empty();
  MakeTableResult result;
  result.table.estimator = on_recipe ? "measured:on recipe" : "measured";
  ASSAY_ASSIGN(UnitStore store, UnitStore::open(settings, model, progress));
  ASSAY_ASSIGN(result.table.noise_floor, noise_floor(store, model, set.windows, settings));
  result.table.rows = table_rows(*model.checkpoint, options.types, options.by);
  const uint64_t memory = memory_budget(settings);
  const ChangeSource changes(model.network, imatrix, ChangeOptions{memory / 8, settings.threads});
  const TableVariants maker(*model.network, changes, base);
  std::vector<ResolvedVariant> variants;
  for (const DamageRow& row : result.table.rows) {
    if (on_recipe) variants.push_back(maker.variant(row, std::nullopt));
    for (const DamageCell& cell : row.cells) variants.push_back(maker.variant(row, cell.type));
  }
  const auto begin_time = std::chrono::steady_clock::now();
  SweepOptions sweep;
  sweep.memory = tile_memory(settings);
  ASSAY_ASSIGN(const Observed observed, measure_variants(model, set, variants, store, imatrix.get(), sweep, progress));
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
  result.units = store.counts();
  const Extent extent = observed.empty() ? Extent{} : extent_of(observed[0]);
  result.tokens_scored = extent.tokens;
  result.windows = extent.windows;
  result.documents = extent.documents;
  if (!observed.empty()) result.interval_unit = bootstrap_unit(observed[0]);
  return result;
}

}  // namespace assay
