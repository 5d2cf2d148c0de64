#include "assay/job/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>

#include "assay/base/random.h"
#include "assay/base/text.h"
#include "assay/job/table_variants.h"
#include "assay/plan/allocate.h"
#include "assay/plan/model_tensors.h"
#include "assay/probe/resolve_variant.h"
#include "assay/probe/variant_io.h"
#include "assay/score/score_lookup.h"

namespace assay {
namespace {

constexpr double kTolerance = 0.01;  // of a random recipe's size

double mean_kl(const WindowSums& sums) { return sums.kl / static_cast<double>(sums.count); }
double mean_kl(std::span<const WindowSums> windows) {
  WindowTotals total;
  for (const WindowSums& window : windows) total.add(window);
  return mean_kl(total.value());
}

class Comparison {
 public:
  Comparison(const CompareOptions& options, const RunSettings& settings, Progress& progress)
      : options_(options), settings_(settings), progress_(progress) {}

  Result<CompareResult> run() {
    ASSAY_ASSIGN(result_.scores, score_model(options_.score, settings_, progress_));
    leave_out_empty();
    if (result_.scores.scores.empty() && options_.given.empty())
      return fail(ErrorCode::kUsage, {"compare", "there is nothing to judge", join(result_.notes, "; "), ""});
    ASSAY_TRY(open());
    ASSAY_TRY(add_given());
    for (const CompareTruth truth : options_.truths) {
      const auto begin = std::chrono::steady_clock::now();
      TruthReport report;
      report.truth = truth;
      if (truth == CompareTruth::kPlan) {
        ASSAY_TRY(plan());
        report.items = result_.plans.size();
      } else {
        Truth measured;
        if (truth == CompareTruth::kDamage) ASSAY_TRY(damage(measured));
        if (truth == CompareTruth::kRemoval) ASSAY_TRY(removal(measured));
        if (truth == CompareTruth::kJoint) ASSAY_TRY(joint(measured));
        report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
        report.items = measured.truth.items.size();
        for (const TournamentItem& item : measured.truth.items) report.below_floor += item.truth < result_.noise_floor;
        progress_.stage("judge", 1);
        ASSAY_ASSIGN(report.judgements, judge_scores(measured.truth, measured.scores, options_.tournament));
      }
      result_.truths.push_back(std::move(report));
    }
    const UnitCounts here = store_->counts();
    result_.scores.units.found += here.found;
    result_.scores.units.made += here.made;
    result_.scores.units.planned += here.planned;
    return std::move(result_);
  }

 private:
  struct Truth {
    TournamentTruth truth;
    std::vector<TournamentScore> scores;
  };

  // Scores without a value for this model, or beyond the budget, cannot be judged.
  void leave_out_empty() {
    std::vector<Scored>& scores = result_.scores.scores;
    for (const Scored& scored : scores)
      if (scored.table.rows.empty())
        result_.notes.push_back(fmt::format("{} is not judged, it has no values: {}", scored.info.name, join(scored.table.notes, "; ")));
    std::erase_if(scores, [](const Scored& scored) { return scored.table.rows.empty(); });
  }

  Status open() {
    ASSAY_ASSIGN(model_, open_model(options_.score.model, settings_, progress_));
    if (options_.measured) {
      ASSAY_ASSIGN(const std::string warning,
                   check_same_model(*options_.measured, *model_.checkpoint, options_.score.model, options_.score.force));
      if (!warning.empty()) result_.notes.push_back(warning);
    }
    ASSAY_ASSIGN(set_, open_windows(options_.score.text, model_));
    ASSAY_ASSIGN(imatrix_, open_imatrix(options_.score.imatrix));
    ASSAY_ASSIGN(UnitStore store, UnitStore::open(settings_, model_, progress_));
    store_ = std::make_unique<UnitStore>(std::move(store));
    ASSAY_ASSIGN(result_.noise_floor, noise_floor(*store_, model_, set_.windows, settings_));
    changes_ = std::make_unique<ChangeSource>(model_.network, imatrix_, ChangeOptions{memory_budget(settings_) / 8, settings_.threads});
    rows_ = table_rows(*model_.checkpoint, options_.score.types, Grouping::kTensor);
    return {};
  }

  Status add_given() {
    for (const GivenScore& given : options_.given) {
      Scored scored;
      scored.info = {.name = given.name, .what = "given", .pooling = Pooling::kMean, .source = "given"};
      scored.table.name = given.name;
      for (const DamageRow& row : rows_)
        for (const Grouping by : {Grouping::kTensor, Grouping::kGroup, Grouping::kLayer})
          if (const auto value = given.values.find(group_of(row.name, by)); value != given.values.end()) {
            scored.table.rows.push_back({row.name, {row.name}, elements(row.name), {{std::nullopt, value->second, 0}}});
            break;
          }
      if (scored.table.rows.empty())
        return fail(ErrorCode::kMismatch, {"score " + given.name, "names no tensor of this model", "names such as " + rows_[0].name, ""});
      result_.scores.scores.push_back(std::move(scored));
    }
    return {};
  }

  Result<ObservedVariants> measure(std::span<const NamedVariant> variants) {
    MeasureOptions measure;
    measure.sweep.memory = tile_memory(settings_);
    measure.depends_on = imatrix_ ? fingerprint(*imatrix_) : "";
    ASSAY_ASSIGN(ObservedVariants observed, measure_variants(model_, set_.windows, variants, *store_, measure, progress_));
    if (!observed.empty()) result_.interval_unit = bootstrap_unit(observed[0]);
    return observed;
  }

  uint64_t elements(const std::string& tensor) const { return model_.checkpoint->find(tensor)->elements(); }

  // Fills the truth's values and windows from observations in the order of its items.
  static void take(ObservedVariants observed, TournamentTruth& truth) {
    for (size_t i = 0; i < truth.items.size(); ++i) truth.items[i].truth = mean_kl(observed[i]);
    truth.windows = std::move(observed);
  }

  // Every score's values of the items: values_of(scored).
  template <class Values>
  void add_scores(Truth& measured, bool nats, const Values& values_of) const {
    for (const Scored& scored : result_.scores.scores)
      measured.scores.push_back(
          {std::string(scored.info.name), values_of(scored), nats && scored.info.by_type && scored.info.unit == "nats per token"});
  }

  Status damage(Truth& measured) {
    const TableVariants maker(*model_.network, *changes_);
    std::vector<NamedVariant> variants;
    std::vector<GgmlType> types;
    if (options_.measured) ASSAY_TRY(take_given_rows(*options_.measured));
    for (const DamageRow& row : rows_) {
      const TensorRole role = role_of(row.name);
      for (const DamageCell& cell : row.cells) {
        if (!options_.measured) variants.push_back(maker.cell(row, cell.type));
        types.push_back(cell.type);
        measured.truth.items.push_back(
            {row.name, find_type(cell.type)->name, std::string(name_of(role.role)), role.layer, elements(row.name), cell.damage});
      }
    }
    if (!options_.measured) {
      ASSAY_ASSIGN(ObservedVariants observed, measure(variants));
      take(std::move(observed), measured.truth);
    }
    measured_ = measured.truth;
    add_scores(measured, true, [&](const Scored& scored) {
      const ScoreLookup lookup(scored.info, scored.table.rows);
      std::vector<double> values;
      for (size_t i = 0; i < types.size(); ++i) values.push_back(lookup.at(measured.truth.items[i].name, types[i]));
      return values;
    });
    return {};
  }

  // The rows become those of a table that was measured before; types that scores were not asked for stay out.
  Status take_given_rows(const DamageTable& table) {
    const std::string who = "damage table";
    std::vector<DamageRow> rows;
    for (const DamageRow& given : table.rows) {
      const auto own = std::find_if(rows_.begin(), rows_.end(), [&](const DamageRow& row) { return row.tensors == given.tensors; });
      if (own == rows_.end())
        return fail(ErrorCode::kMismatch, {who, "has the row " + printable(given.name), "one tensor of this model in each row",
                                           "another model's, or made with --by layer?"});
      DamageRow row{own->name, own->tensors, {}};
      for (const DamageCell& cell : given.cells)
        if (std::any_of(own->cells.begin(), own->cells.end(), [&](const DamageCell& one) { return one.type == cell.type; }))
          row.cells.push_back(cell);
      if (!row.cells.empty()) rows.push_back(std::move(row));
    }
    if (rows.empty()) return fail(ErrorCode::kMismatch, {who, "has none of the types that scores are made for", "--types", ""});
    rows_ = std::move(rows);
    return {};
  }

  Status removal(Truth& measured) {
    VariantResolver resolver(model_.network, *changes_);
    std::vector<NamedVariant> variants;
    std::map<std::string, uint64_t> sizes;
    for (const DamageRow& row : rows_)
      for (const Grouping by : {Grouping::kLayer, Grouping::kGroup}) sizes[group_of(row.name, by)] += elements(row.name);
    using Part = ScheduleEdit::Part;
    for (const auto& [part, word, ending] : {std::tuple{Part::kBlock, "block", ""}, std::tuple{Part::kAttention, "attention", ".attention"},
                                             std::tuple{Part::kFfn, "ffn", ".ffn"}})
      for (int layer = 0; layer < model_.network->hyper().layers; ++layer) {
        Variant variant;
        variant.schedule.push_back({ScheduleEdit::Action::kSkip, layer, layer, part, 1, 1, {}});
        ASSAY_ASSIGN(ResolvedVariant resolved, resolver.resolve(variant));
        variants.push_back({hash_of(variant), std::move(resolved)});
        const std::string name = "blk." + std::to_string(layer) + ending;
        measured.truth.items.push_back({name, word, word, layer, sizes[name], 0});
      }
    ASSAY_ASSIGN(ObservedVariants observed, measure(variants));
    take(std::move(observed), measured.truth);
    // A score of matrices speaks of a block by what its matrices say together; at the first type, if it has one for each.
    const std::optional<GgmlType> type = options_.score.types.empty() ? std::nullopt : std::optional<GgmlType>(options_.score.types[0]);
    add_scores(measured, false, [&](const Scored& scored) {
      const std::vector<ScoreRow> layers = pooled(scored.table.rows, Grouping::kLayer, scored.info.pooling);
      const std::vector<ScoreRow> halves = pooled(scored.table.rows, Grouping::kGroup, scored.info.pooling);
      const ScoreLookup whole(scored.info, layers), half(scored.info, halves);
      std::vector<double> values;
      for (const TournamentItem& item : measured.truth.items) values.push_back((item.type == "block" ? whole : half).at(item.name, type));
      return values;
    });
    return {};
  }

  // Random types for every matrix, moved one step at a time until the recipe has the size.
  Recipe random_recipe(double bpw, uint64_t number) const {
    CounterRandom random(settings_.seed, 0x726563697065, number);
    std::vector<std::vector<GgmlType>> types;  // of each row, ascending in bits
    std::vector<size_t> choice;
    double bits = 0, weights = 0;
    for (const DamageRow& row : rows_) {
      std::vector<GgmlType> own;
      for (const DamageCell& cell : row.cells) own.push_back(cell.type);
      std::sort(own.begin(), own.end(), [](GgmlType a, GgmlType b) { return bits_per_weight(a) < bits_per_weight(b); });
      types.push_back(std::move(own));
      choice.push_back(types.back().empty() ? 0 : random.next_below(types.back().size()));
      if (types.back().empty()) continue;
      bits += bits_per_weight(types.back()[choice.back()]) * static_cast<double>(elements(row.name));
      weights += static_cast<double>(elements(row.name));
    }
    constexpr int kMostSteps = 100'000;
    for (int step = 0; step < kMostSteps && std::fabs(bits / (bpw * weights) - 1) > kTolerance; ++step) {
      const auto r = static_cast<size_t>(random.next_below(rows_.size()));
      const bool up = bits < bpw * weights;
      if (types[r].empty() || (up ? choice[r] + 1 == types[r].size() : choice[r] == 0)) continue;
      const size_t next = up ? choice[r] + 1 : choice[r] - 1;
      bits += (bits_per_weight(types[r][next]) - bits_per_weight(types[r][choice[r]])) * static_cast<double>(elements(rows_[r].name));
      choice[r] = next;
    }
    Recipe recipe;
    for (size_t r = 0; r < rows_.size(); ++r)
      if (!types[r].empty()) recipe.types[rows_[r].name] = types[r][choice[r]];
    return recipe;
  }

  Status joint(Truth& measured) {
    const TableVariants maker(*model_.network, *changes_);
    std::vector<NamedVariant> variants;
    std::vector<Recipe> recipes;
    for (uint32_t i = 0; i < options_.recipes; ++i) {
      const double bpw = options_.sizes[i % options_.sizes.size()];
      recipes.push_back(random_recipe(bpw, i));
      variants.push_back(maker.recipe(recipes.back()));
      // The size to be told apart from: what the recipe would cost if all weights mattered alike.
      double alike = 0;
      for (const auto& [tensor, type] : recipes.back().types)
        alike += static_cast<double>(elements(tensor)) * std::pow(4.0, -bits_per_weight(type));
      // A recipe stands where a layer does elsewhere: recipes are what is drawn again and permuted.
      constexpr double kScale = 1e3;  // it is kept as a whole number
      measured.truth.items.push_back({"recipe " + std::to_string(i), fmt::format("{:g} bits", bpw), "recipe", static_cast<int>(i),
                                      static_cast<uint64_t>(kScale * alike), 0});
    }
    ASSAY_ASSIGN(ObservedVariants observed, measure(variants));
    take(std::move(observed), measured.truth);
    add_scores(measured, true, [&](const Scored& scored) {
      const DamageTable table = table_of(scored);
      std::vector<double> values;
      for (const Recipe& recipe : recipes) {
        double sum = 0;
        for (const DamageRow& row : table.rows)
          for (const DamageCell& cell : row.cells)
            if (const auto chosen = recipe.types.find(row.name); chosen != recipe.types.end() && chosen->second == cell.type)
              sum += cell.damage;
        values.push_back(sum);
      }
      return values;
    });
    return {};
  }

  // The damages that a score stands for, as a table: what it does not know is worth the mean of what it knows, weight by weight.
  DamageTable table_of(const Scored& scored) const {
    const ScoreLookup lookup(scored.info, scored.table.rows);
    DamageTable table;
    table.estimator = scored.info.name;
    table.rows = rows_;
    std::map<GgmlType, std::pair<double, double>> known;  // damage, weights
    for (DamageRow& row : table.rows)
      for (DamageCell& cell : row.cells) {
        cell.damage = stand_in_damage(scored.info, lookup, row.name, elements(row.name), cell.type);
        if (std::isnan(cell.damage)) continue;
        known[cell.type].first += cell.damage;
        known[cell.type].second += static_cast<double>(elements(row.name));
      }
    for (DamageRow& row : table.rows)
      for (DamageCell& cell : row.cells)
        if (std::isnan(cell.damage)) {
          const auto [damage, weights] = known[cell.type];
          cell.damage = weights > 0 ? damage / weights * static_cast<double>(elements(row.name)) : 0;
        }
    return table;
  }

  DamageTable measured_table() const {
    DamageTable table;
    table.estimator = "measured";
    table.rows = rows_;
    size_t next = 0;
    for (DamageRow& row : table.rows)
      for (DamageCell& cell : row.cells) cell.damage = measured_.items[next++].truth;
    return table;
  }

  Status plan() {
    std::vector<DamageTable> tables;
    for (const Scored& scored : result_.scores.scores) tables.push_back(table_of(scored));
    if (!measured_.items.empty()) tables.push_back(measured_table());
    const TableVariants maker(*model_.network, *changes_);
    for (const double bpw : options_.sizes) {
      BudgetRequest budget;
      budget.bpw = bpw;
      ASSAY_ASSIGN(const uint64_t bytes, budget_bytes(*model_.checkpoint, budget, {}));
      std::vector<NamedVariant> variants;
      std::vector<PlannedRecipe> plans;
      for (const DamageTable& table : tables) {
        auto made = allocate(*model_.checkpoint, table, bytes, {}, {});
        if (!made) {
          result_.notes.push_back(fmt::format("{:g} bits per weight: {}", bpw, made.error().message));
          break;
        }
        plans.push_back({table.estimator, bpw, made->file_bytes, {}, {}});
        variants.push_back(maker.recipe(made->recipe));
      }
      if (plans.empty()) continue;
      ASSAY_ASSIGN(const ObservedVariants observed, measure(variants));
      const auto best =
          static_cast<size_t>(std::min_element(observed.begin(), observed.end(),
                                               [](const auto& a, const auto& b) { return mean_kl(std::span(a)) < mean_kl(std::span(b)); }) -
                              observed.begin());
      const BootstrapOptions bootstrap_options{options_.tournament.resamples, settings_.seed};
      for (size_t i = 0; i < plans.size(); ++i) {
        plans[i].kl = bootstrap(observed[i], [](const WindowSums& sums) { return mean_kl(sums); }, bootstrap_options);
        plans[i].regret = bootstrap_pair(
            observed[i], observed[best], [](const WindowSums& a, const WindowSums& b) { return mean_kl(a) / mean_kl(b) - 1; },
            bootstrap_options);
      }
      std::stable_sort(plans.begin(), plans.end(), [](const PlannedRecipe& a, const PlannedRecipe& b) { return a.kl.value < b.kl.value; });
      result_.plans.insert(result_.plans.end(), plans.begin(), plans.end());
    }
    return {};
  }

  const CompareOptions& options_;
  const RunSettings& settings_;
  Progress& progress_;
  OpenModel model_;
  ProbeSet set_;
  std::shared_ptr<const Imatrix> imatrix_;
  std::unique_ptr<UnitStore> store_;
  std::unique_ptr<ChangeSource> changes_;
  std::vector<DamageRow> rows_;
  TournamentTruth measured_;  // one-at-a-time damages, once measured: row by row
  CompareResult result_;
};

}  // namespace

Result<CompareResult> compare_scores(const CompareOptions& options, const RunSettings& settings, Progress& progress) {
  return Comparison(options, settings, progress).run();
}

}  // namespace assay
