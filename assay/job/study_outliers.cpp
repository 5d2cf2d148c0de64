#include "assay/job/study_outliers.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <set>

#include "assay/base/text.h"
#include "assay/job/outlier_runner.h"
#include "assay/job/outlier_shares.h"
#include "assay/job/outlier_tracking.h"
#include "assay/job/study_criteria.h"

namespace assay {
namespace {

using Form = ResidualEdit::Form;
using Kind = OutlierRow::Kind;

class OutlierStudy {
 public:
  OutlierStudy(OutlierRunner& runner, const TextInput& text) : runner_(runner), config_(runner.config()), text_(text) {}

  Result<StudyOutliersResult> run() {
    describe();
    ASSAY_TRY(register_criteria());
    ASSAY_TRY(timed("candidates", [&] { return choose(); }));
    ASSAY_TRY(timed("single weights", [&] { return singles(); }));
    ASSAY_TRY(timed("pairs, doses, edits, patches", [&] { return further(); }));
    ASSAY_TRY(timed("perturbation", [&] { return perturbation(); }));
    ASSAY_TRY(timed("quantization", [&] { return measure_shares(runner_, text_, result_); }));
    assay::conclude(result_, config_);
    out_.result = std::move(result_);
    out_.units = runner_.store().counts();
    return std::move(out_);
  }

 private:
  template <class Body>
  Status timed(const char* stage, const Body& body) {
    if (runner_.progress().interrupted()) return fail(ErrorCode::kInterrupted, "study outliers: interrupted between stages");
    const auto begin = std::chrono::steady_clock::now();
    ASSAY_TRY(body());
    out_.stage_seconds.emplace_back(stage, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    return {};
  }

  void describe() {
    const PromptWindows& prompts = runner_.prompts();
    result_.prompts = prompts.windows.size();
    result_.tokens = prompts.tokens_scored;
    result_.strata = prompts.strata;
    result_.noise_floor = runner_.noise_floor();
    result_.tail = config_.tail;
    std::vector<WindowSums> windows;
    for (const Window& window : prompts.windows) {
      windows.emplace_back();
      windows.back().document = window.document;
    }
    result_.interval = windows.size() < 8 ? bootstrap_unit(windows) : "prompts";
  }

  Status register_criteria() {
    std::string of;
    for (const GgmlType type : config_.share_types) of += find_type(type)->name + std::string(",");
    for (const uint64_t k : config_.share_k) of += std::to_string(k) + ",";
    UnitKey key = runner_.key("outliers criteria").add("shares", of);
    return assay::register_criteria(runner_.store(), std::move(key),
                                    config_.criteria.empty() ? default_outlier_criteria(config_) : config_.criteria, result_);
  }

  // Variants of the stages; what is not known yet counts with its most.
  uint64_t planned_further(uint64_t candidates) const {
    const uint64_t strongest = std::min(config_.strongest, candidates), taken_apart = strongest * (1 + config_.controls);
    uint64_t pairs = 2 * 2 * candidates,
             patches = strongest * (3 + config_.ranks.size() + static_cast<uint64_t>(runner_.layers())) + strongest * 3;
    return pairs + 2 * config_.sets.size() + taken_apart * (config_.scales.size() + 4) + patches;
  }
  uint64_t planned_shares() const { return config_.share_types.size() * (1 + config_.share_k.size() * (4 + config_.share_controls)); }

  Status plan() {
    uint64_t super = 0;
    for (const OutlierRow& row : rows()) super += row.kind == Kind::kSuper;
    const uint64_t listed = std::min<uint64_t>(config_.robust, rows().size() - super), candidates = super + listed + config_.under;
    const uint64_t single = rows().size() + candidates * config_.controls, more = planned_further(candidates), shares = planned_shares();
    const uint64_t all = single + more + shares;
    if (all > config_.variants)
      return fail(ErrorCode::kUsage,
                  {"study outliers", "plans " + group_digits(all) + " variants", "at most " + group_digits(config_.variants),
                   "fewer of robust, walk, controls or strongest, or more variants in the config"});
    ASSAY_ASSIGN(const double speed, runner_.speed(rows()));
    constexpr double kDense = 4;  // a whole quantized model costs so many single edits
    uint64_t tokens = 0;
    for (const Window& window : runner_.prompts().windows) tokens += window.tokens.size();
    const double seconds =
        static_cast<double>(tokens) * (static_cast<double>(single + more) + kDense * static_cast<double>(shares) / 2) / speed;
    runner_.progress().log(
        fmt::format("plan: at most {} variants ({} single weights, {} pairs, doses, edits and patches, {} quantized models) on {} prompts "
                    "of {} tokens; "
                    "about {:.0f} minutes",
                    all, single, more, shares, runner_.prompts().windows.size(), tokens, std::ceil(seconds / 60)));
    return {};
  }

  Status choose() {
    ASSAY_ASSIGN(result_.rows, runner_.candidates(result_));
    if (rows().empty()) return fail(ErrorCode::kUnsupported, "study outliers: no matrix of these layers can be changed");
    ASSAY_TRY(plan());
    // Under-outliers beyond the list get controls once they are accepted.
    std::vector<size_t> targets;
    for (size_t r = 0; r < rows().size(); ++r)
      if (rows()[r].listed) targets.push_back(r);
    return runner_.add_controls(rows(), targets);
  }

  std::vector<OutlierRow>& rows() { return result_.rows; }

  // Zeroes the rows from `first` on.
  Status measure_rows(size_t first) {
    std::vector<Variant> variants;
    for (size_t r = first; r < rows().size(); ++r) variants.push_back(zeroed({&rows()[r].place, 1}));
    ASSAY_ASSIGN(std::vector<MeasuredVariant> measured, runner_.measure(variants));
    result_.variants += variants.size();
    const PromptWindows& prompts = runner_.prompts();
    for (size_t r = first; r < rows().size(); ++r) {
      OutlierRow& row = rows()[r];
      const PromptObservation view = measured[r - first].view();
      row.all = behaviour_of(view, config_.tail);
      row.strata = behaviour_by_stratum(view, config_.tail, prompts.stratum, prompts.strata.size());
      row.kl = mean_kl_of(view.sums, config_.seed);
      row.below_floor = row.kl.value < result_.noise_floor;
      alone_.push_back(std::move(measured[r - first]));
    }
    return {};
  }

  Status singles() {
    ASSAY_TRY(measure_rows(0));
    // The list is walked in its order; what is quiet is accepted, up to `under`.
    std::vector<size_t> late;
    uint64_t accepted = 0;
    for (size_t r = 0; r < rows().size() && accepted < config_.under; ++r) {
      OutlierRow& row = rows()[r];
      if (row.kind != Kind::kRobust || row.all.kl > config_.under_kl || std::fabs(row.all.ppl_change()) > config_.under_ppl) continue;
      row.under = true;
      ++accepted;
      if (!row.listed) late.push_back(r);
    }
    const size_t before = rows().size();
    if (late.empty()) return {};
    ASSAY_TRY(runner_.add_controls(rows(), late));
    return measure_rows(before);
  }

  // What is labelled: super weights, the robust list, accepted under-outliers.
  std::vector<size_t> candidates() {
    std::vector<size_t> all;
    for (size_t r = 0; r < rows().size(); ++r)
      if (rows()[r].kind != Kind::kControl && (rows()[r].listed || rows()[r].under)) all.push_back(r);
    return all;
  }
  std::optional<size_t> first_control(size_t row) {
    return rows()[row].controls > 0 ? std::optional(rows()[row].first_control) : std::nullopt;
  }
  std::vector<size_t> first_controls(const std::vector<size_t>& of) {
    std::vector<size_t> controls;
    for (const size_t row : of)
      if (const auto control = first_control(row)) controls.push_back(*control);
    return controls;
  }

  // Each with the strongest, and with the strongest of its own matrix, or else the second strongest of all.
  std::vector<std::pair<size_t, size_t>> pairs_of(const std::vector<size_t>& by_kl) {
    std::set<std::pair<size_t, size_t>> pairs;
    const auto add = [&](size_t a, size_t b) {
      if (a != b) pairs.insert({std::min(a, b), std::max(a, b)});
    };
    for (const size_t row : by_kl) {
      const auto first_other = [&](const auto& fits) {
        const auto found = std::find_if(by_kl.begin(), by_kl.end(), [&](size_t other) { return other != row && fits(other); });
        return found == by_kl.end() ? row : *found;
      };
      const size_t strongest = first_other([](size_t) { return true; });
      const size_t near = first_other([&](size_t other) { return rows()[other].place.tensor == rows()[row].place.tensor; });
      add(row, strongest);
      add(row, near != row && near != strongest ? near : first_other([&](size_t other) { return other != strongest; }));
    }
    return {pairs.begin(), pairs.end()};
  }

  Status further() {
    std::vector<size_t> by_kl = candidates();
    std::stable_sort(by_kl.begin(), by_kl.end(), [&](size_t a, size_t b) { return rows()[a].all.kl > rows()[b].all.kl; });
    result_.strongest.assign(by_kl.begin(), by_kl.begin() + static_cast<ptrdiff_t>(std::min<size_t>(config_.strongest, by_kl.size())));
    std::vector<size_t> taken_apart;
    for (const size_t row : result_.strongest) {
      taken_apart.push_back(row);
      for (size_t c = 0; c < rows()[row].controls; ++c) taken_apart.push_back(rows()[row].first_control + c);
    }
    plan_pairs(by_kl);
    plan_sets(by_kl);
    plan_doses(taken_apart);
    plan_edits(taken_apart);
    plan_patches();
    ASSAY_ASSIGN(measured_, runner_.measure(further_));
    result_.variants += further_.size();
    finish_pairs();
    finish_sets();
    finish_doses();
    for (size_t i = 0; i < result_.edits.size(); ++i) {
      OutlierEdit& edit = result_.edits[i];
      fill(edit.row, edits_[i], edit.kl, edit.recovery);
      edit.recovered = edit.recovery.value >= config_.spreadable;
    }
    for (size_t i = 0; i < result_.patches.size(); ++i) {
      OutlierPatch& patch = result_.patches[i];
      fill(patch.row, patches_[i], patch.kl, patch.recovery);
      if (patch.form == "first" && patch.kl.value > result_.noise_floor)
        result_.notes.push_back(name_of(rows()[patch.row].place) +
                                ": the full patch at the first changed block leaves more than the floor");
    }
    return {};
  }

  size_t later(Variant variant) {
    further_.push_back(std::move(variant));
    return further_.size() - 1;
  }

  void plan_pairs(const std::vector<size_t>& by_kl) {
    for (const auto& [a, b] : pairs_of(by_kl)) {
      add_pair(a, b);
      const auto x = first_control(a), y = first_control(b);
      if (x && y) add_pair(*x, *y);
    }
  }
  void add_pair(size_t a, size_t b) {
    const WeightPlace both[] = {rows()[a].place, rows()[b].place};
    pairs_.push_back({a, b, later(zeroed(both))});
  }
  void finish_pairs() {
    for (const Pair& pair : pairs_) {
      const std::span<const WindowSums> sums[] = {measured_[pair.variant].sums, alone_[pair.a].sums, alone_[pair.b].sums};
      const Interval interval = interaction_of(sums, config_.seed);
      for (const auto& [own, other] : {std::pair{pair.a, pair.b}, std::pair{pair.b, pair.a}}) {
        OutlierRow& row = rows()[own];
        if (row.interaction && row.interaction->value >= interval.value) continue;
        row.interaction = interval;
        row.partner = other;
      }
    }
  }

  void plan_sets(const std::vector<size_t>& by_kl) {
    for (const uint64_t size : config_.sets) {
      if (size > by_kl.size() || size < 2) continue;
      const std::vector<size_t> some(by_kl.begin(), by_kl.begin() + static_cast<ptrdiff_t>(size));
      for (const auto& [of, members] : {std::pair{"strongest", some}, std::pair{"their controls", first_controls(some)}}) {
        std::vector<WeightPlace> places;
        for (const size_t row : members) places.push_back(rows()[row].place);
        if (!places.empty()) sets_.push_back({of, members, later(zeroed(places))});
      }
    }
  }
  void finish_sets() {
    for (const Set& set : sets_) {
      std::vector<std::span<const WindowSums>> sums = {measured_[set.variant].sums};
      for (const size_t row : set.members) sums.emplace_back(alone_[row].sums);
      result_.sets.push_back(
          {set.of, set.members.size(), mean_kl_of(measured_[set.variant].sums, config_.seed), interaction_of(sums, config_.seed)});
    }
  }

  void plan_doses(const std::vector<size_t>& taken_apart) {
    for (const size_t row : taken_apart) {
      doses_.push_back({row, 0, 0});
      doses_.push_back({row, 1, 0});
      for (const double scale : config_.scales)
        if (scale != 0 && scale != 1) doses_.push_back({row, scale, later(scaled(rows()[row].place, scale))});
    }
    std::stable_sort(doses_.begin(), doses_.end(),
                     [](const Dose& a, const Dose& b) { return std::pair(a.row, a.scale) < std::pair(b.row, b.scale); });
  }
  void finish_doses() {
    for (const Dose& dose : doses_) {
      OutlierDose made;
      made.row = dose.row;
      made.scale = dose.scale;
      if (dose.scale != 1) {
        const MeasuredVariant& measured = dose.scale == 0 ? alone_[dose.row] : measured_[dose.variant];
        const Behaviour behaviour = behaviour_of(measured.view(), config_.tail);
        made.kl = mean_kl_of(measured.sums, config_.seed);
        made.tail_kl = behaviour.tail_kl;
        made.flip_rate = behaviour.flip_rate;
        made.nll_difference = std::log(behaviour.ppl / behaviour.ppl_base);
      }
      result_.doses.push_back(made);
    }
  }

  void plan_edits(const std::vector<size_t>& taken_apart) {
    const auto add = [&](size_t row, const char* form, Variant variant) {
      OutlierEdit edit;
      edit.row = row;
      edit.form = form;
      result_.edits.push_back(std::move(edit));
      edits_.push_back(later(std::move(variant)));
    };
    for (const size_t row : taken_apart) {
      const WeightPlace& place = rows()[row].place;
      const uint64_t columns = runner_.model().checkpoint->find(place.tensor)->row_length();
      add(row, "spread", spread(place, rows()[row].weight, columns, config_.spread_radius));
      add(row, "row scaled", row_scaled(place, config_.channel_scale));
      add(row, "row zeroed", row_zeroed(place));
      add(row, "column zeroed", column_zeroed(place));
    }
  }

  void plan_patches() {
    const auto add = [&](size_t row, const char* form, Form patch, int layer, int rank) {
      OutlierPatch made;
      made.row = row;
      made.form = form;
      made.layer = layer;
      made.rank = rank;
      result_.patches.push_back(std::move(made));
      patches_.push_back(later(patched(rows()[row].place, patch, layer, rank)));
    };
    for (const size_t row : result_.strongest) {
      const int own = rows()[row].layer;
      if (own < 0) continue;  // after the last block there is no stream to patch
      add(row, "first", Form::kFirst, -1, 0);
      for (const int rank : config_.ranks) add(row, "rank", Form::kFirst, -1, rank);
      for (int layer = own; layer < runner_.layers(); ++layer) add(row, "replace", Form::kReplace, layer, 0);
      add(row, "patch_all_seed", Form::kCumulative, -1, 0);
      add(row, "patch_all_seed", Form::kCumulative, -1, 1);
      if (const auto control = first_control(row)) {
        add(*control, "first", Form::kFirst, -1, 0);
        add(*control, "rank", Form::kFirst, -1, 1);
        add(*control, "patch_all_seed", Form::kCumulative, -1, 0);
      }
    }
  }

  void fill(size_t row, size_t variant, Interval& kl, Interval& recovery) const {
    kl = mean_kl_of(measured_[variant].sums, config_.seed);
    recovery = recovery_of(alone_[row].sums, measured_[variant].sums, config_.seed);
  }

  Status perturbation() {
    std::vector<size_t> some = candidates();
    for (const size_t control : first_controls(some)) some.push_back(control);
    ASSAY_TRY(track(runner_, rows(), some, result_));
    ASSAY_ASSIGN(result_.overshoots, measure_overshoot(runner_, rows(), result_.strongest));
    return {};
  }

  struct Pair {
    size_t a = 0, b = 0, variant = 0;
  };
  struct Set {
    std::string of;
    std::vector<size_t> members;
    size_t variant = 0;
  };
  struct Dose {
    size_t row = 0;
    double scale = 0;
    size_t variant = 0;
  };

  OutlierRunner& runner_;
  const OutlierConfig& config_;
  const TextInput& text_;
  std::vector<MeasuredVariant> alone_;  // by row
  std::vector<Variant> further_;        // what is measured beyond zeroing single weights
  std::vector<Pair> pairs_;
  std::vector<Set> sets_;
  std::vector<Dose> doses_;
  std::vector<size_t> edits_, patches_;  // variants of result_.edits and result_.patches
  std::vector<MeasuredVariant> measured_;
  OutlierResult result_;
  StudyOutliersResult out_;
};

}  // namespace

Result<StudyOutliersResult> study_outliers(const StudyOutliersOptions& options, const RunSettings& settings, Progress& progress) {
  ASSAY_ASSIGN(const std::unique_ptr<OutlierRunner> runner, OutlierRunner::open(options, settings, progress));
  return OutlierStudy(*runner, options.text).run();
}

}  // namespace assay
