#include "assay/job/optimize.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>

#include "assay/base/sha256.h"
#include "assay/base/text.h"
#include "assay/job/candidate_file.h"
#include "assay/job/compare_models.h"
#include "assay/job/make_moments.h"
#include "assay/job/recipe_variants.h"
#include "assay/job/refine_plan.h"
#include "assay/job/refine_table.h"
#include "assay/job/search_plan.h"
#include "assay/job/table_rows.h"
#include "assay/job/unit_store.h"
#include "assay/plan/allocate_interactions.h"
#include "assay/plan/quantize_job.h"
#include "assay/plan/solver.h"
#include "assay/probe/collect_imatrix.h"
#include "assay/score/curvature.h"

namespace assay {
namespace {

using T = GgmlType;
using Clock = std::chrono::steady_clock;

const std::vector<GgmlType> kCandidateTypes = {T::kQ2_K,   T::kQ3_K, T::kQ4_K, T::kQ5_K, T::kQ6_K, T::kIQ4_NL,
                                               T::kIQ4_XS, T::kQ4_0, T::kQ4_1, T::kQ5_0, T::kQ5_1, T::kQ8_0};

uint64_t peak_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

class Optimizer {
 public:
  Optimizer(const OptimizeOptions& options, const RunSettings& settings, Progress& progress)
      : options_(options), settings_(settings), progress_(progress) {}

  Result<OptimizeResult> run() {
    ASSAY_TRY(check_output());
    ASSAY_TRY(check_options());
    ASSAY_TRY(timed("load", [&] { return load(); }));
    ASSAY_TRY(timed("imatrix", [&] { return make_imatrix(); }));
    ASSAY_TRY(timed("curvature", [&] { return make_table(); }));
    ASSAY_TRY(timed("plan", [&] { return make_plan(); }));
    if (source_) ASSAY_TRY(timed("codes", [&] { return plan_with_codes(); }));
    result_.plan_name = options_.constraints.solver == "exact" ? "curvature" : options_.constraints.solver;
    if (options_.constraints.solver == kEvoPress) ASSAY_TRY(timed("search", [&] { return search(); }));
    if (options_.refine.any()) ASSAY_TRY(timed("refine", [&] { return refine(); }));
    CandidateFile planned(options_.output + ".tmp-assay-plan"), stock(options_.output + ".tmp-assay-preset"),
        larger(options_.output + ".tmp-assay-larger"), recoded(options_.output + ".tmp-assay-recoded");
    planned.chosen_codes = recoded.chosen_codes = source_ != nullptr;
    ASSAY_TRY(describe("assay", result_.plan.recipe, preset_ != nullptr ? preset_->file_type : 0, planned));
    if (preset_ != nullptr) ASSAY_TRY(describe(preset_->name, recipe_of(*preset_), preset_->file_type, stock));
    if (larger_ != nullptr) ASSAY_TRY(describe(larger_->name, recipe_of(*larger_), larger_->file_type, larger));
    if (preset_ != nullptr && source_)
      ASSAY_TRY(describe(std::string(preset_->name) + ", our codes", recipe_of(*preset_), preset_->file_type, recoded));
    ASSAY_TRY(timed("measure", [&] { return measure(planned, stock, larger, recoded); }));
    ASSAY_TRY(timed("write", [&] { return deliver(!result_.accepted ? stock : fallback_ ? *fallback_ : planned); }));
    result_.units = store_->counts();
    return std::move(result_);
  }

 private:
  template <class F>
  Status timed(const char* name, const F& stage) {
    const auto begin = Clock::now();
    ASSAY_TRY(stage());
    result_.stages.push_back({name, std::chrono::duration<double>(Clock::now() - begin).count(), peak_memory()});
    return {};
  }

  // Before any work: the output can be written.
  Status check_output() const {
    std::error_code error;
    if (options_.output.empty()) return fail(ErrorCode::kUsage, "optimize: no output file given (-o OUT.gguf)");
    if (std::filesystem::exists(options_.output, error) && !options_.force)
      return fail(ErrorCode::kUsage, {options_.output, "exists", "--force replaces it", ""});
    if (std::filesystem::equivalent(options_.output, options_.model, error))
      return fail(ErrorCode::kUsage, {options_.output, "is the input model", "choose another name", ""});
    return {};
  }

  // Before any work: what was asked for goes together.
  Status check_options() {
    if (options_.refine.any() && options_.constraints.solver != "exact")
      return fail(ErrorCode::kUsage, {"--refine", "was given with --solver " + options_.constraints.solver, "--refine solves exactly", ""});
    constraints_ = options_.constraints;
    if (constraints_.solver == kEvoPress) {
      constraints_.solver = "exact";  // of the table's own plan, for its bound
      return {};
    }
    return find_solver(constraints_.solver).map([](const Solver*) {});
  }

  Status load() {
    ASSAY_ASSIGN(model_, open_model(options_.model, settings_, progress_));
    ASSAY_ASSIGN(calibration_, open_windows({options_.calibration, options_.windows}, model_));
    measuring_ = calibration_.windows;
    if (options_.refine.any()) {
      ASSAY_ASSIGN(split_, split_windows(calibration_.windows));
      measuring_ = split_.measuring;
    }
    ASSAY_ASSIGN(evaluation_, open_windows({options_.evaluation, options_.windows}, model_));
    for (const std::string& text : options_.guards) {
      ASSAY_ASSIGN(ProbeSet set, open_windows({text, options_.windows}, model_));
      guards_.push_back(std::move(set));
    }
    if (calibration_.corpus_sha256 == evaluation_.corpus_sha256)
      result_.warnings.emplace_back("calibration and evaluation text are the same: the measured gain is not held out");
    ASSAY_ASSIGN(store_, UnitStore::open(settings_, model_, progress_));
    ASSAY_ASSIGN(result_.noise_floor, noise_floor(*store_, model_, evaluation_.windows, settings_));
    return {};
  }

  Status make_imatrix() {
    if (options_.codes != Codes::kNearest) return make_moments();
    ASSAY_ASSIGN(Imatrix imatrix, collect_imatrix(*model_.network, calibration_.windows, ImatrixOptions{}, progress_, {},
                                                  *imatrix_units(*store_, calibration_.windows, false)));
    imatrix.datasets.push_back(options_.calibration);
    imatrix_ = std::make_shared<const Imatrix>(std::move(imatrix));
    return {};
  }

  // The imatrix, and the second moments that codes are chosen under.
  Status make_moments() {
    ASSAY_ASSIGN(scratch_, ScratchMoments::make(model_, calibration_, options_.calibration, options_.output + ".moments", progress_));
    ASSAY_ASSIGN(MomentsFile moments, MomentsFile::open(scratch_.path()));
    moments_ = std::make_unique<const MomentsFile>(std::move(moments));
    imatrix_ = std::make_shared<const Imatrix>(scratch_.made().imatrix);
    result_.damping = scratch_.made().damping;
    for (const std::string& warning : scratch_.made().warnings) result_.warnings.push_back(warning);
    code_units_ = store_->units(codes_key("codes"));
    source_ = std::make_unique<CodeSource>(*model_.checkpoint, *moments_, options_.codes, settings_.threads, *code_units_,
                                           memory_budget(settings_) / 16);
    return {};
  }

  // What chosen codes depend on beside the tensor and its type.
  UnitKey codes_key(std::string_view kind) const {
    UnitKey key = store_->key(kind);
    key.add("codes", name_of(options_.codes)).add("moments", fingerprint(calibration_.windows));
    return key;
  }

  Status make_table() {
    table_.rows = table_rows(*model_.checkpoint, kCandidateTypes, Grouping::kTensor);
    CurvatureOptions curvature;
    curvature.token_fraction = options_.token_fraction;
    const ChangeSource changes(model_.network, imatrix_, ChangeOptions{memory_budget(settings_) / 16, settings_.threads});
    ASSAY_ASSIGN(curvature_, predict_damage(model_, measuring_, changes, imatrix_, curvature, settings_, *store_, table_, progress_));
    if (source_) ASSAY_TRY(scale_by_samples(*source_, table_, progress_));
    // Left as it is, a tensor costs nothing but its bytes.
    for (DamageRow& row : table_.rows) row.cells.push_back(DamageCell{model_.checkpoint->find(row.name)->type, 0, 0, false});
    return {};
  }

  OutputRequest output_request(uint32_t file_type) const {
    OutputRequest request;
    request.file_type = file_type;
    request.imatrix = imatrix_.get();
    request.imatrix_path = "computed from " + std::filesystem::path(options_.calibration).filename().string();
    return request;
  }

  Recipe recipe_of(const Preset& preset) const {
    return preset_recipe(preset, model_.checkpoint->tensors(), preset_context(model_.checkpoint->metadata(), true));
  }

  // Predicted damage of a recipe by the table; infinite if it uses a type the table lacks.
  double predicted(const Recipe& recipe) const {
    double total = 0;
    for (const DamageRow& row : table_.rows) {
      const auto type = recipe.types.find(row.name);
      const auto cell = std::find_if(row.cells.begin(), row.cells.end(),
                                     [&](const DamageCell& c) { return type != recipe.types.end() && c.type == type->second; });
      total += cell == row.cells.end() ? INFINITY : cell->damage;
    }
    return total;
  }

  Status make_plan() {
    ASSAY_ASSIGN(const uint64_t budget, budget_bytes(*model_.checkpoint, options_.budget, output_request(0)));
    ASSAY_ASSIGN(result_.plan, allocate(*model_.checkpoint, table_, budget, constraints_, output_request(0)));
    // The stock preset to beat: the one named, or of those that fit the one with the least predicted damage.
    double least = INFINITY;
    uint64_t next_bytes = UINT64_MAX;
    for (const Preset& preset : all_presets()) {
      if (!find_type(preset.base)->quantized) continue;
      OutputRequest request = output_request(preset.file_type);
      request.recipe = recipe_of(preset);
      ASSAY_ASSIGN(const OutputFile output, plan_output(*model_.checkpoint, request));
      if (output.file_bytes > budget) {
        if (output.file_bytes < next_bytes) next_bytes = output.file_bytes, larger_ = &preset;
        continue;
      }
      const bool named = options_.budget.like && lower_ascii(*options_.budget.like) == lower_ascii(preset.name);
      const double damage = named ? -1 : predicted(request.recipe);
      if (damage < least) least = damage, preset_ = &preset;
    }
    return {};
  }

  // The plan solved once more, with its own cells and those next to them predicted from the codes they would have.
  Status plan_with_codes() {
    CurvatureOptions curvature;
    curvature.token_fraction = options_.token_fraction;
    curvature = curvature_options(curvature, settings_);
    UnitKey key = codes_key("curvature of chosen codes");
    key.add("recipe", sha256_hex(to_text(result_.plan.recipe))).add("token fraction", curvature.token_fraction);
    key.add("windows", fingerprint(measuring_));
    const auto units = store_->units(std::move(key));
    ASSAY_TRY(predict_chosen(model_, measuring_, *source_, result_.plan.recipe, curvature, *units, table_, progress_));
    ASSAY_ASSIGN(result_.plan, allocate(*model_.checkpoint, table_, result_.plan.budget_bytes, constraints_, output_request(0)));
    return {};
  }

  // How recipes are run before any file of them is written.
  MeasureOptions measure_options() const {
    MeasureOptions measure;
    measure.sweep.memory = tile_memory(settings_);
    measure.depends_on = fingerprint(*imatrix_);
    if (source_) measure.depends_on += std::string(" ") + std::string(name_of(options_.codes)) + " " + fingerprint(calibration_.windows);
    return measure;
  }

  Status refine() {
    const ChangeSource nearest(model_.network, imatrix_, ChangeOptions{memory_budget(settings_) / 16, settings_.threads});
    RecipeVariants variants(*model_.network, nearest, source_.get(), memory_budget(settings_) / 8);
    const OutputRequest request = output_request(0);
    ASSAY_ASSIGN(std::vector<NamedPlan> others, other_plans());
    const RefineInputs inputs{model_,       variants,     split_,  *store_,        measure_options(), table_,
                              result_.plan, constraints_, request, settings_.seed, std::move(others)};
    ASSAY_ASSIGN(RefinedPlans refined, refine_plan(inputs, options_.refine, options_.refine_regret, progress_));
    refined.report.asked = options_.refine_text;
    result_.refine = std::move(refined.report);
    result_.plan = refined.plans[0].plan;
    result_.plan_name = refined.plans[0].name;
    ranked_ = std::move(refined.plans);
    return {};
  }

  // Plans made in other ways that compete with the refined one: the one that counts interactions. The table's damages may be of other
  // codes than the terms (refine_table.h): of those only the cosines count.
  Result<std::vector<NamedPlan>> other_plans() const {
    std::map<std::pair<std::string, GgmlType>, std::span<const float>> terms;
    for (const CurvatureRow& row : curvature_.rows)
      for (const CurvatureCell& cell : row.cells) terms[{row.tensor, cell.type}] = cell.terms;
    const TermsOf terms_of = [&](const std::string& row, GgmlType type) -> std::span<const float> {
      const auto found = terms.find({row, type});
      return found == terms.end() ? std::span<const float>() : found->second;
    };
    const size_t draws = terms.empty() ? 0 : terms.begin()->second.size();
    const CrossTerms cross = cross_terms(table_, terms_of, {.run = std::max<size_t>(1, draws / measuring_.size())});
    AllocateConstraints constraints = constraints_;
    constraints.solver = "exact";
    ASSAY_ASSIGN(Plan plan, allocate_with_interactions(*model_.checkpoint, table_, terms_of, cross, result_.plan.budget_bytes, constraints,
                                                       output_request(0)));
    return std::vector<NamedPlan>{{"interactions", std::move(plan)}};
  }

  // The recipe that a search on measured KL finds, without the table.
  Status search() {
    const ChangeSource nearest(model_.network, imatrix_, ChangeOptions{memory_budget(settings_) / 16, settings_.threads});
    RecipeVariants variants(*model_.network, nearest, source_.get(), memory_budget(settings_) / 8);
    ASSAY_ASSIGN(const AllocationRows rows,
                 allocation_rows(*model_.checkpoint, table_, result_.plan.budget_bytes, constraints_, output_request(0)));
    EvoPressOptions evopress;
    evopress.generations = options_.generations;
    evopress.offspring = options_.offspring;
    evopress.seed = settings_.seed;
    ASSAY_ASSIGN(
        FoundRecipe found,
        search_plan({model_, variants, calibration_.windows, *store_, measure_options(), rows, result_.plan.recipe}, evopress, progress_));
    result_.search = std::move(found.report);
    ASSAY_ASSIGN(result_.plan, plan_of_recipe(*model_.checkpoint, table_, found.recipe, result_.plan, constraints_, output_request(0)));
    return {};
  }

  // What a recipe's file will be: its metadata, tensors and bytes. `file_type` 0: that of the type most bytes have.
  Status describe(std::string_view name, const Recipe& recipe, uint32_t file_type, CandidateFile& candidate) const {
    OutputRequest request = output_request(file_type);
    request.recipe = recipe;
    ASSAY_ASSIGN(candidate.output, plan_output(*model_.checkpoint, request));
    if (file_type == 0) {
      request.file_type = file_type_of(candidate.output.tensors);
      ASSAY_ASSIGN(candidate.output, plan_output(*model_.checkpoint, request));
    }
    candidate.recipe = recipe;
    candidate.measured.name = name;
    candidate.measured.bytes = candidate.output.file_bytes;
    candidate.measured.bpw = candidate.output.bpw();
    return {};
  }

  Status write(CandidateFile& candidate) {
    if (candidate.written) return {};
    WriteModelOptions write{true, settings_.threads, {}};
    if (candidate.chosen_codes) write.encode = source_->encoder();
    ASSAY_TRY(write_model(*model_.checkpoint, candidate.output, imatrix_.get(), candidate.file.path(), write, progress_));
    candidate.written = true;
    return {};
  }

  // The candidate's file under the output's name.
  Status deliver(CandidateFile& candidate) {
    ASSAY_TRY(write(candidate));
    return candidate.file.move_to(options_.output);
  }

  // The candidate's file as it is on the disk, run on a text. Batches that are known need no file.
  Result<Observation> observe(BaseRun& base, const ProbeSet& set, CandidateFile& candidate, MeasuredFile& measured) {
    progress_.stage("measure " + candidate.measured.name, set.windows.size());
    const auto open_written = [&]() -> Result<std::shared_ptr<const Network>> {
      ASSAY_TRY(write(candidate));
      ASSAY_ASSIGN(const auto checkpoint, Checkpoint::open(candidate.file.path()));
      progress_.stage("measure " + candidate.measured.name, set.windows.size());
      return Network::load(checkpoint, network_options(settings_));
    };
    UnitKey key = candidate.chosen_codes ? codes_key("measured recipe") : store_->key("measured recipe");
    key.add("recipe", sha256_hex(to_text(candidate.recipe))).add("imatrix", fingerprint(*imatrix_));
    const auto units = store_->units(key.add("windows", fingerprint(set.windows)));
    ASSAY_ASSIGN(Observation observation, base.compare(open_written, progress_, *units));
    measured = candidate.measured;
    measured.mean_kl =
        bootstrap(observation.windows(), [](const WindowSums& s) { return s.kl / static_cast<double>(s.count); }, {2000, settings_.seed});
    measured.ppl = observation.ppl();
    return observation;
  }
  Result<Observation> observe(BaseRun& base, CandidateFile& candidate) {
    ASSAY_ASSIGN(Observation observation, observe(base, evaluation_, candidate, candidate.measured));
    result_.base_ppl = observation.ppl_base();
    return observation;
  }

  // A file against the preset on every guard's text.
  Result<std::vector<GuardOutcome>> guard(CandidateFile& planned, CandidateFile& stock) {
    std::vector<GuardOutcome> outcomes;
    for (size_t g = 0; g < guards_.size(); ++g) {
      BaseRun base(model_.network, guards_[g].windows, memory_budget(settings_) / 8);
      GuardOutcome outcome{options_.guards[g], {}, {}, {}, false};
      ASSAY_ASSIGN(const Observation ours, observe(base, guards_[g], planned, outcome.ours));
      ASSAY_ASSIGN(const Observation theirs, observe(base, guards_[g], stock, outcome.preset));
      outcome.change = change(ours, theirs);
      outcome.passed = outcome.change.high <= options_.guard_margin;
      outcomes.push_back(std::move(outcome));
    }
    return outcomes;
  }
  static bool all_passed(const std::vector<GuardOutcome>& guards) {
    return std::all_of(guards.begin(), guards.end(), [](const GuardOutcome& one) { return one.passed; });
  }

  // A guard turned the plan away: the next best of the final competition that is better than the preset and passes.
  // `ours` becomes what it does on the evaluation text.
  Status fall_back(BaseRun& base, const Observation& theirs, CandidateFile& planned, CandidateFile& stock, Observation& ours) {
    if (ranked_.size() < 2) return {};
    result_.tried.push_back({planned.measured, result_.change, result_.guards, false});
    result_.tried.back().file.name = result_.plan_name;
    for (size_t i = 1; i < ranked_.size(); ++i) {
      auto next = std::make_unique<CandidateFile>(options_.output + ".tmp-assay-next");
      next->chosen_codes = planned.chosen_codes;
      ASSAY_TRY(describe("assay", ranked_[i].plan.recipe, preset_->file_type, *next));
      ASSAY_ASSIGN(Observation again, observe(base, *next));
      TriedFile tried{next->measured, change(again, theirs), {}, false};
      if (next->measured.mean_kl.value < stock.measured.mean_kl.value) {
        ASSAY_ASSIGN(tried.guards, guard(*next, stock));
        tried.passed = all_passed(tried.guards);
      }
      result_.tried.push_back(tried);
      result_.tried.back().file.name = ranked_[i].name;
      if (!tried.passed) continue;
      result_.accepted = true;
      result_.plan = ranked_[i].plan;
      result_.plan_name = ranked_[i].name;
      result_.measured = next->measured;
      result_.change = tried.change;
      result_.guards = tried.guards;
      ours = std::move(again);
      fallback_ = std::move(next);
      return {};
    }
    return {};
  }

  // Mean KL of one file / another's - 1, windows paired.
  Interval change(const Observation& a, const Observation& b) const {
    return bootstrap_pair(a.windows(), b.windows(), [](const WindowSums& x, const WindowSums& y) { return x.kl / y.kl - 1; },
                          {2000, settings_.seed});
  }

  // What refining gained on text that it never saw.
  Status compare_with_unrefined(BaseRun& base, const Observation& ours, bool chosen_codes) {
    const auto start = std::find_if(ranked_.begin(), ranked_.end(), [](const NamedPlan& one) { return one.name == "curvature"; });
    if (start == ranked_.end()) return {};
    CandidateFile unrefined(options_.output + ".tmp-assay-unrefined");
    unrefined.chosen_codes = chosen_codes;
    ASSAY_TRY(describe("unrefined", start->plan.recipe, preset_ != nullptr ? preset_->file_type : 0, unrefined));
    ASSAY_ASSIGN(const Observation theirs, observe(base, unrefined));
    result_.unrefined = unrefined.measured;
    result_.unrefined_change = change(ours, theirs);
    return {};
  }

  Status measure(CandidateFile& planned, CandidateFile& stock, CandidateFile& larger, CandidateFile& recoded) {
    BaseRun base(model_.network, evaluation_.windows, memory_budget(settings_) / 8);
    ASSAY_ASSIGN(Observation ours, observe(base, planned));
    result_.measured = planned.measured;
    result_.tokens_scored = evaluation_.tokens_scored;
    result_.windows = evaluation_.windows.size();
    result_.documents = evaluation_.documents;
    result_.interval_method = "95 % bootstrap over " + bootstrap_unit(ours.windows());
    if (preset_ != nullptr) {
      ASSAY_ASSIGN(const Observation theirs, observe(base, stock));
      result_.change = change(ours, theirs);
      result_.accepted = planned.measured.mean_kl.value < stock.measured.mean_kl.value;
      result_.preset = stock.measured;
      ASSAY_ASSIGN(result_.guards, guard(planned, stock));
      if (!all_passed(result_.guards)) {
        const bool better = result_.accepted;
        result_.accepted = false;
        if (better) ASSAY_TRY(fall_back(base, theirs, planned, stock, ours));
      }
      if (source_) {
        ASSAY_ASSIGN(const Observation again, observe(base, recoded));
        result_.preset_codes = recoded.measured;
        result_.preset_codes_change = change(again, theirs);
      }
    }
    ASSAY_TRY(compare_with_unrefined(base, ours, planned.chosen_codes));
    if (preset_ == nullptr && !guards_.empty())
      result_.warnings.emplace_back("no stock preset fits the budget: there is nothing to guard against");
    if (larger_ != nullptr) {
      ASSAY_TRY(observe(base, larger).map([](const Observation&) {}));
      result_.larger = larger.measured;
    }
    return {};
  }

  const OptimizeOptions& options_;
  const RunSettings& settings_;
  Progress& progress_;
  OpenModel model_;
  std::optional<UnitStore> store_;
  ProbeSet calibration_, evaluation_;
  WindowSplit split_;                  // of the calibration windows, where the plan is refined
  std::span<const Window> measuring_;  // those that the table is made on
  AllocateConstraints constraints_;    // of the table's plan
  std::vector<NamedPlan> ranked_;      // of the final competition, best first
  std::unique_ptr<CandidateFile> fallback_;
  std::vector<ProbeSet> guards_;
  std::shared_ptr<const Imatrix> imatrix_;
  ScratchMoments scratch_;
  std::unique_ptr<const MomentsFile> moments_;
  std::unique_ptr<UnitCache> code_units_;
  std::unique_ptr<CodeSource> source_;  // null: nearest codes
  CurvatureTable curvature_;
  DamageTable table_;
  const Preset* preset_ = nullptr;
  const Preset* larger_ = nullptr;
  OptimizeResult result_;
};

}  // namespace

Result<OptimizeResult> optimize(const OptimizeOptions& options, const RunSettings& settings, Progress& progress) {
  apply_settings(settings);
  return Optimizer(options, settings, progress).run();
}

}  // namespace assay
