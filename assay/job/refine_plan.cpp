#include "assay/job/refine_plan.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "assay/base/payload.h"
#include "assay/base/sha256.h"
#include "assay/file/tensor_role.h"
#include "assay/plan/successive_halving.h"
#include "assay/probe/statistics.h"

namespace assay {
namespace {

constexpr uint32_t kResamples = 200;  // of one cell's damage
constexpr size_t kMostOptima = 6;     // of the posterior's draws, in the final competition
constexpr size_t kMostPlans = 4;      // of the rounds, beside the first and the last
constexpr size_t kTimedWindows = 2;

double mean_kl(const WindowSums& sums) { return sums.kl / static_cast<double>(sums.count); }

RefineMeasured measured(const Interval& interval) { return {interval.value, (interval.high - interval.low) / (2 * 1.96)}; }

class PlanRefiner {
 public:
  PlanRefiner(const RefineInputs& inputs, const RefineBudget& budget, double threshold, Progress& progress)
      : in_(inputs), budget_(budget), progress_(progress) {
    report_.threshold = threshold;
    report_.measuring_windows = in_.windows.measuring.size();
    report_.selection_windows = in_.windows.selection.size();
  }

  Result<RefinedPlans> run() {
    ASSAY_TRY(make_problem());
    ASSAY_TRY(convert_budget());
    RefineOptions options;
    options.budget = report_.budget;
    options.least_regret = report_.threshold;
    options.seed = in_.seed;
    ASSAY_ASSIGN(outcome_, refine(problem_, options, [this](RefineWay way, const RowChoice& plan, std::span<const RefineTask> tasks) {
                   return measure(way, plan, tasks);
                 }));
    tell();
    ASSAY_TRY(make_candidates());
    ASSAY_TRY(compete());
    return RefinedPlans{std::move(ranked_), std::move(report_)};
  }

 private:
  Status make_problem() {
    ASSAY_ASSIGN(rows_, allocation_rows(*in_.model.checkpoint, in_.table, in_.start.budget_bytes, in_.constraints, in_.request));
    problem_.budget = rows_.budget;
    for (const AllocationRow& row : rows_.rows) {
      RefineRow made;
      made.name = row.name;
      made.role = static_cast<int>(role_of(row.tensors[0]).role);
      const auto of_table =
          std::find_if(in_.table.rows.begin(), in_.table.rows.end(), [&](const DamageRow& one) { return one.name == row.name; });
      if (of_table == in_.table.rows.end())
        return fail(ErrorCode::kUsage,
                    {"refine: '" + row.name + "'", "is several rows of the table that share a type", "leave that out", ""});
      const GgmlType stored = in_.model.checkpoint->find(row.tensors[0])->type;
      for (size_t i = 0; i < row.types.size(); ++i) {
        RefineCell cell;
        cell.type = row.types[i];
        cell.bytes = row.items[i].bytes;
        const auto known =
            std::find_if(of_table->cells.begin(), of_table->cells.end(), [&](const DamageCell& one) { return one.type == cell.type; });
        cell.predicted = {row.items[i].damage, known->standard_error};
        cell.known = cell.type == stored;
        report_.cells += cell.known ? 0 : 1;
        made.cells.push_back(cell);
      }
      Recipe changed;
      for (const std::string& tensor : row.tensors)
        changed.types[tensor] = row.types[row.types[0] == stored && row.types.size() > 1 ? 1 : 0];
      made.cost = forward_equivalents(*in_.model.network, in_.windows.measuring[0], in_.variants.variant(changed).variant);
      problem_.rows.push_back(std::move(made));
    }
    return {};
  }

  // Time is converted once, and the store remembers: the same command later measures the same things.
  Status convert_budget() {
    report_.budget = budget_.forwards;
    if (budget_.seconds == 0) return {};
    const auto timed = in_.windows.measuring.first(std::min(kTimedWindows, in_.windows.measuring.size()));
    const ResolvedVariant plan = in_.variants.variant(in_.start.recipe).variant;
    UnitKey key = in_.store.key("seconds of a forward");
    key.add("windows", fingerprint(in_.windows.measuring));
    const auto units = in_.store.units(std::move(key));
    const auto work = [&]() -> Result<std::string> {
      std::chrono::duration<double> least(INFINITY);
      for (int repeat = 0; repeat < 3; ++repeat) {  // the first encodes the plan
        const auto begin = std::chrono::steady_clock::now();
        UninterruptedProgress unit_progress(progress_);
        ASSAY_TRY(run_sweep(
            *in_.model.network, timed, {&plan, 1}, in_.measure.sweep, [](size_t, size_t, std::span<const PositionObservation>) {},
            unit_progress));
        least = std::min<std::chrono::duration<double>>(least, std::chrono::steady_clock::now() - begin);
      }
      PayloadWriter writer;  // two models on so many windows
      writer.add(least.count() / 2 * static_cast<double>(in_.windows.measuring.size()) / static_cast<double>(timed.size()), "seconds");
      return std::move(writer).finish();
    };
    ASSAY_ASSIGN(const std::string payload, find_or_make(*units, "", work));
    ASSAY_TRY(in_.store.flush());
    PayloadReader reader(payload);
    report_.seconds_per_forward = reader.real();
    ASSAY_TRY(reader.finish());
    report_.budget = budget_.seconds / report_.seconds_per_forward;
    return {};
  }

  Recipe recipe_of(const RowChoice& choice) const {
    Recipe recipe = in_.start.recipe;
    for (size_t r = 0; r < choice.size(); ++r) put(recipe, r, choice[r]);
    return recipe;
  }
  void put(Recipe& recipe, size_t row, size_t cell) const {
    for (const std::string& tensor : rows_.rows[row].tensors) recipe.types[tensor] = rows_.rows[row].types[cell];
  }

  Result<std::vector<RefineMeasured>> measure(RefineWay way, const RowChoice& plan, std::span<const RefineTask> tasks) {
    const Recipe base = way == RefineWay::kBeside ? recipe_of(plan) : Recipe{};
    std::vector<NamedVariant> variants;
    if (way == RefineWay::kBeside) variants.push_back(in_.variants.variant(base));
    for (const RefineTask& task : tasks) {
      Recipe recipe = base;
      put(recipe, task.row, task.cell);
      variants.push_back(in_.variants.variant(recipe));
    }
    ASSAY_ASSIGN(const ObservedVariants observed,
                 measure_variants(in_.model, in_.windows.measuring, variants, in_.store, in_.measure, progress_));
    std::vector<RefineMeasured> values;
    for (size_t i = 0; i < tasks.size(); ++i) {
      if (way == RefineWay::kAlone) {
        values.push_back(measured(bootstrap(observed[i], mean_kl, {kResamples, in_.seed})));
        continue;
      }
      const auto difference = [](const WindowSums& a, const WindowSums& b) { return mean_kl(a) - mean_kl(b); };
      values.push_back(measured(bootstrap_pair(observed[i + 1], observed[0], difference, {kResamples, in_.seed})));
    }
    return values;
  }

  void tell() {
    report_.spent = outcome_.spent;
    report_.damage_before = outcome_.damage_before;
    report_.damage = outcome_.damage;
    report_.regret_before_mean = outcome_.before.mean;
    report_.regret_before = outcome_.before.high;
    report_.regret_mean = outcome_.after.mean;
    report_.regret = outcome_.after.high;
    report_.settled = outcome_.settled;
    report_.rounds = outcome_.rounds;
    const Posterior& known = outcome_.posterior;
    report_.bias = known.bias;
    report_.spread = known.spread;
    report_.context = known.context;
    report_.context_spread = known.context_spread;
    for (size_t r = 0; r < problem_.rows.size(); ++r) {
      const RefineRow& row = problem_.rows[r];
      for (const RefineCell& cell : row.cells) {
        report_.cells_alone += cell.alone ? 1 : 0;
        report_.cells_beside += cell.beside ? 1 : 0;
      }
      const size_t from = outcome_.start[r], to = outcome_.plan[r];
      if (from == to) continue;
      const auto has = [&](const auto& member) { return row.cells[from].*member || row.cells[to].*member; };
      report_.decisions.push_back({row.name, row.cells[from].type, row.cells[to].type, row.cells[from].predicted.value,
                                   row.cells[to].predicted.value, known.cells[r][from].mean, known.cells[r][to].mean,
                                   has(&RefineCell::beside)  ? "beside the plan"
                                   : has(&RefineCell::alone) ? "alone"
                                                             : "no"});
    }
    const auto stake = [](const ChangedDecision& one) { return std::abs(one.known_from - one.known_to); };
    std::stable_sort(report_.decisions.begin(), report_.decisions.end(),
                     [&](const ChangedDecision& a, const ChangedDecision& b) { return stake(a) > stake(b); });
  }

  Status make_candidates() {
    // What is known now, as a table.
    DamageTable table = in_.table;
    for (size_t r = 0; r < problem_.rows.size(); ++r) {
      const auto row =
          std::find_if(table.rows.begin(), table.rows.end(), [&](const DamageRow& one) { return one.name == rows_.rows[r].name; });
      for (size_t c = 0; c < problem_.rows[r].cells.size(); ++c)
        for (DamageCell& cell : row->cells)
          if (cell.type == rows_.rows[r].types[c]) {
            cell.damage = outcome_.posterior.cells[r][c].mean;
            cell.standard_error = outcome_.posterior.cells[r][c].deviation();
          }
    }
    ASSAY_ASSIGN(const Plan best, allocate(*in_.model.checkpoint, table, in_.start.budget_bytes, in_.constraints, in_.request));
    const auto add = [&](const std::string& name, const Recipe& recipe) -> Status {
      for (const NamedPlan& there : candidates_)
        if (there.plan.recipe.types == recipe.types) return {};
      ASSAY_ASSIGN(Plan plan, plan_of_recipe(*in_.model.checkpoint, table, recipe, best, in_.constraints, in_.request));
      candidates_.push_back({name, std::move(plan)});
      return {};
    };
    ASSAY_TRY(add("curvature", in_.start.recipe));
    ASSAY_TRY(add("refined", best.recipe));
    for (const NamedPlan& other : in_.others) ASSAY_TRY(add(other.name, other.plan.recipe));
    const size_t rounds = outcome_.plans.size();
    for (size_t i = rounds > kMostPlans ? rounds - kMostPlans : 0; i < rounds; ++i)
      ASSAY_TRY(add("round " + std::to_string(i), recipe_of(outcome_.plans[i])));
    for (size_t i = 0; i < std::min(kMostOptima, outcome_.after.optima.size()); ++i)
      ASSAY_TRY(add("draw " + std::to_string(i + 1), recipe_of(outcome_.after.optima[i])));
    return {};
  }

  Status compete() {
    std::vector<NamedVariant> variants;
    for (const NamedPlan& candidate : candidates_) variants.push_back(in_.variants.variant(candidate.plan.recipe));
    std::vector<WindowTotals> totals(candidates_.size());
    size_t seen = 0;  // windows of the rounds so far
    ASSAY_ASSIGN(const HalvingResult result, halve(candidates_.size(), in_.windows.selection.size(),
                                                   [&](std::span<const size_t> open, size_t windows) -> Result<std::vector<double>> {
                                                     std::vector<NamedVariant> some;
                                                     for (const size_t one : open) some.push_back(variants[one]);
                                                     const auto fresh = in_.windows.selection.subspan(seen, windows - seen);
                                                     if (!fresh.empty()) {
                                                       ASSAY_ASSIGN(
                                                           const ObservedVariants observed,
                                                           measure_variants(in_.model, fresh, some, in_.store, in_.measure, progress_));
                                                       for (size_t i = 0; i < open.size(); ++i)
                                                         for (const WindowSums& sums : observed[i]) totals[open[i]].add(sums);
                                                     }
                                                     seen = windows;
                                                     std::vector<double> means;
                                                     for (const size_t one : open) means.push_back(mean_kl(totals[one].value()));
                                                     return means;
                                                   }));
    report_.selection_spent = static_cast<double>(result.evaluations + seen) / static_cast<double>(in_.windows.measuring.size());
    for (const size_t one : result.order) {
      const HalvingPlace& place = result.places[one];
      report_.candidates.push_back({candidates_[one].name, candidates_[one].plan.file_bytes, place.mean, place.windows, place.rounds});
      ranked_.push_back(std::move(candidates_[one]));
    }
    return {};
  }

  const RefineInputs& in_;
  const RefineBudget& budget_;
  Progress& progress_;
  AllocationRows rows_;
  RefineProblem problem_;
  RefineOutcome outcome_;
  RefineReport report_;
  std::vector<NamedPlan> candidates_, ranked_;
};

}  // namespace

Result<WindowSplit> split_windows(std::span<const Window> windows) {
  const size_t selection = std::max<size_t>(2, (windows.size() + 3) / 4);
  if (windows.size() < selection + 2)
    return fail(ErrorCode::kUsage, {"--refine", "has " + std::to_string(windows.size()) + " calibration windows", "at least 4",
                                    "half of so few choose among the final recipes; give a longer text or more --chunks"});
  return WindowSplit{windows.first(windows.size() - selection), windows.last(selection)};
}

Result<RefinedPlans> refine_plan(const RefineInputs& inputs, const RefineBudget& budget, double threshold, Progress& progress) {
  return PlanRefiner(inputs, budget, threshold, progress).run();
}

Result<Plan> plan_of_recipe(const Checkpoint& checkpoint, const DamageTable& table, const Recipe& recipe, const Plan& best,
                            const AllocateConstraints& constraints, const OutputRequest& request) {
  DamageTable chosen = table;
  for (DamageRow& row : chosen.rows) {
    const auto type = recipe.types.find(row.tensors[0]);
    if (type != recipe.types.end()) std::erase_if(row.cells, [&](const DamageCell& cell) { return cell.type != type->second; });
  }
  ASSAY_ASSIGN(Plan plan, allocate(checkpoint, chosen, best.budget_bytes, constraints, request));
  plan.bound = best.bound;
  plan.relaxed_bound = best.relaxed_bound;
  plan.lambda = best.lambda;
  plan.next = best.next;
  plan.gap = plan.predicted_damage > 0 ? (plan.predicted_damage - plan.bound) / plan.predicted_damage : 0;
  plan.exact = best.exact && plan.predicted_damage <= best.predicted_damage;
  return plan;
}

}  // namespace assay
