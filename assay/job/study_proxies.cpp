#include "assay/job/study_proxies.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>

#include "assay/base/payload.h"
#include "assay/base/quiet_progress.h"
#include "assay/base/sha256.h"
#include "assay/base/text.h"
#include "assay/file/tensor_role.h"
#include "assay/job/make_table.h"
#include "assay/job/measure_variants.h"
#include "assay/job/task_runner.h"
#include "assay/job/variant_proxies.h"
#include "assay/plan/presets.h"
#include "assay/probe/changes.h"
#include "assay/probe/check_variant.h"
#include "assay/probe/resolve_variant.h"
#include "assay/study/proxies_analysis.h"
#include "assay/tasks/pack_items.h"

namespace assay {
namespace {

using Clock = std::chrono::steady_clock;
constexpr size_t kReconstructionWindows = 2;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

struct ChangedModel {
  std::string name, kind;
  bool recipe = false;
  Variant variant;
};

// The changed models that a config asks for, of one model.
class ChangedModels {
 public:
  ChangedModels(const ProxiesConfig& config, const OpenModel& model) : config_(config), model_(model) {}

  Result<std::vector<ChangedModel>> make(std::vector<std::string>& notes) {
    for (const std::string& name : config_.presets) ASSAY_TRY(preset(name, notes));
    for (const GgmlType type : config_.types) uniform(type, notes);
    for (const GgmlType type : config_.low_types) roles(type);
    ASSAY_TRY(skips());
    for (const double part : config_.noise) noise(part);
    ASSAY_TRY(single_weights());
    if (models_.size() < 6)
      return fail(ErrorCode::kUsage,
                  {"study proxies", "has " + std::to_string(models_.size()) + " changed models", "at least 6 to rank", ""});
    return std::move(models_);
  }

 private:
  static WeightEdit to_type(const std::string& tensor, GgmlType type) {
    WeightEdit edit;
    edit.tensor = tensor;
    edit.action = WeightEdit::Action::kType;
    edit.type = type;
    return edit;
  }

  std::vector<const TensorInfo*> block_matrices() const {
    std::vector<const TensorInfo*> matrices;
    for (const TensorInfo& tensor : model_.checkpoint->tensors())
      if (tensor.n_dims == 2 && is_quantizable(tensor) && role_of(tensor.name).layer >= 0) matrices.push_back(&tensor);
    return matrices;
  }

  void add(std::string name, std::string kind, bool recipe, Variant variant) {
    if (variant.weights.empty() && variant.schedule.empty()) return;
    variant.name = name;
    models_.push_back({std::move(name), std::move(kind), recipe, std::move(variant)});
  }

  Status preset(const std::string& name, std::vector<std::string>& notes) {
    ASSAY_ASSIGN(const Preset* preset, find_preset(name));
    if (preset->needs_importance) {
      notes.push_back(name + " left out: it needs an importance matrix");
      return {};
    }
    const Recipe recipe = preset_recipe(*preset, model_.checkpoint->tensors(), preset_context(model_.checkpoint->metadata(), false));
    Variant variant;
    for (const auto& [tensor, type] : recipe.types)
      if (model_.checkpoint->find(tensor)->type != type) variant.weights.push_back(to_type(tensor, type));
    add("preset " + std::string(preset->name), "preset", true, std::move(variant));
    return {};
  }

  void uniform(GgmlType type, std::vector<std::string>& notes) {
    Variant variant;
    size_t left_out = 0;
    for (const TensorInfo* tensor : block_matrices()) {
      if (usable_types(*tensor, {type}).empty()) {
        ++left_out;
      } else {
        variant.weights.push_back(to_type(tensor->name, type));
      }
    }
    const std::string name = find_type(type)->name;
    if (left_out > 0) notes.push_back(fmt::format("{} matrices cannot take {} and stay as they are", left_out, name));
    add("blocks " + name, "uniform", true, std::move(variant));
  }

  void roles(GgmlType type) {
    std::map<std::string, Variant> by_role;
    for (const TensorInfo* tensor : block_matrices())
      if (!usable_types(*tensor, {type}).empty())
        by_role[std::string(name_of(role_of(tensor->name).role))].weights.push_back(to_type(tensor->name, type));
    for (auto& [role, variant] : by_role) add(role + " " + find_type(type)->name, "role", true, std::move(variant));
  }

  Status skips() {
    if (!config_.skip_layers) return {};
    ASSAY_ASSIGN(const std::vector<int> layers, layers_of(config_.layers, model_.network->hyper().layers));
    for (const int layer : layers) {
      Variant variant;
      ScheduleEdit skip;
      skip.first = skip.last = layer;
      variant.schedule.push_back(std::move(skip));
      add("without block " + std::to_string(layer), "skip", false, std::move(variant));
    }
    return {};
  }

  void noise(double part) {
    Variant variant;
    for (const TensorInfo* tensor : block_matrices()) {
      WeightEdit edit;
      edit.tensor = tensor->name;
      edit.action = WeightEdit::Action::kNoise;
      edit.value = part;
      edit.seed = config_.seed;
      variant.weights.push_back(std::move(edit));
    }
    add(fmt::format("noise {:g}", part), "noise", false, std::move(variant));
  }

  // The largest weight of ffn_down set to 0, in blocks spread over the depth.
  Status single_weights() {
    const auto layers = static_cast<uint64_t>(model_.network->hyper().layers);
    const uint64_t count = std::min(config_.single_weights, layers);
    for (uint64_t i = 0; i < count; ++i) {
      const uint64_t layer = i * layers / count;
      const std::string name = model_.network->tensor_name(static_cast<int>(layer), Site::kDown);
      ASSAY_ASSIGN(const at::Tensor weight, model_.network->plain_weight(name));
      const auto at = static_cast<uint64_t>(weight.abs().flatten().argmax().item<int64_t>());
      const auto width = static_cast<uint64_t>(weight.size(1));
      WeightEdit edit;
      edit.tensor = name;
      edit.where.kind = Selection::Kind::kCoordinates;
      edit.where.coordinates = {{at / width, at % width}};
      edit.action = WeightEdit::Action::kSet;
      Variant variant;
      variant.weights.push_back(std::move(edit));
      add(fmt::format("{}[{}, {}] = 0", name, at / width, at % width), "weight", false, std::move(variant));
    }
    return {};
  }

  const ProxiesConfig& config_;
  const OpenModel& model_;
  std::vector<ChangedModel> models_;
};

class ProxiesStudy {
 public:
  ProxiesStudy(const StudyProxiesOptions& options, const RunSettings& settings, Progress& progress)
      : options_(options), config_(options.config), settings_(settings), progress_(progress) {}

  Result<StudyProxiesResult> run() {
    ASSAY_TRY(timed("load", [&] { return open(); }));
    ASSAY_TRY(timed("base", [&] { return run_base(); }));
    ASSAY_TRY(timed("text", [&] { return measure_text(); }));
    ASSAY_TRY(timed("weights and blocks", [&] { return measure_proxies(); }));
    ASSAY_TRY(timed("tasks", [&] { return measure_tasks(); }));
    const auto begin = Clock::now();
    conclude(result_, damage_, layout_, {config_.predicts, config_.resamples, config_.seed});
    out_.stage_seconds.emplace_back("analysis", seconds_since(begin));
    out_.units = store_->counts();
    out_.result = std::move(result_);
    return std::move(out_);
  }

 private:
  template <class F>
  Status timed(const char* name, const F& stage) {
    const auto begin = Clock::now();
    ASSAY_TRY(stage());
    out_.stage_seconds.emplace_back(name, seconds_since(begin));
    return {};
  }

  Status open() {
    if (options_.tasks.empty()) return fail(ErrorCode::kUsage, "study proxies: --tasks FILE.. is needed");
    ASSAY_ASSIGN(model_, open_model(options_.model, settings_, progress_));
    TextInput text = options_.text;
    if (text.windows.chunks == 0 && text.windows.max_tokens == 0) text.windows.chunks = config_.windows;
    ASSAY_ASSIGN(set_, open_windows(text, model_));
    ASSAY_ASSIGN(tasks_, open_tasks(options_.tasks, config_.items, options_.bos, model_));
    ASSAY_ASSIGN(models_, ChangedModels(config_, model_).make(result_.notes));
    ASSAY_ASSIGN(UnitStore store, UnitStore::open(settings_, model_, progress_));
    store_ = std::make_unique<UnitStore>(std::move(store));
    changes_ = std::make_unique<ChangeSource>(model_.network, nullptr, ChangeOptions{memory_budget(settings_) / 8, settings_.threads});
    resolver_ = std::make_unique<VariantResolver>(model_.network, *changes_);
    const ModelShape shape(model_.network->hyper(), model_.checkpoint->tensors());
    for (const ChangedModel& one : models_) {
      ASSAY_TRY(check(one.variant, shape));
      ASSAY_ASSIGN(ResolvedVariant resolved, resolver_->resolve(one.variant));
      named_.push_back({hash_of(one.variant), std::move(resolved)});
      ProxyVariant variant;
      variant.name = one.name;
      variant.kind = one.kind;
      variant.recipe = one.recipe;
      result_.variants.push_back(std::move(variant));
    }
    describe();
    return register_claim();
  }

  void describe() {
    uint32_t first_cluster = 0;
    for (size_t t = 0; t < tasks_.size(); ++t) {
      const OpenTask& task = tasks_[t];
      result_.tasks.push_back(task.file.name);
      result_.items.push_back(task.items.size());
      for (const EncodedItem& item : task.items) result_.item_tokens += packed_rows(item);
      for (const uint32_t cluster : task.clusters) {
        layout_.task.push_back(static_cast<uint32_t>(t));
        layout_.cluster.push_back(first_cluster + cluster);
      }
      first_cluster += *std::ranges::max_element(task.clusters) + 1;
    }
    result_.tokens_scored = set_.tokens_scored;
    result_.windows = set_.windows.size();
    progress_.log(fmt::format("plan: {} changed models, each on {} items of {} tasks ({} tokens) and {} windows", models_.size(),
                              layout_.task.size(), tasks_.size(), group_digits(result_.item_tokens), result_.windows));
  }

  // What counts as predicting is kept before the first unit; another value later says that it was changed afterwards.
  Status register_claim() {
    std::string items;
    for (const OpenTask& task : tasks_) items += fingerprint(task.items) + ' ';
    const auto units =
        store_->units(store_->key("proxies claim").add("items", sha256_hex(items)).add("windows", fingerprint(set_.windows)));
    const std::string now = fmt::format("{}", config_.predicts);
    ASSAY_ASSIGN(const std::string kept, find_or_make(*units, "predicts", [&]() -> Result<std::string> { return now; }));
    result_.post_hoc = kept != now;
    return store_->flush();
  }

  Status run_base() {
    const auto begin = Clock::now();
    const uint64_t made = store_->counts().made;
    for (const OpenTask& task : tasks_) {
      ASSAY_ASSIGN(std::vector<ItemScore> scores, score_task(task, model_, *store_, progress_));
      double right = 0, margin = 0;
      for (const ItemScore& score : scores) {
        right += score.right[0];
        margin += score.margin;
      }
      result_.base_accuracy.push_back(right / static_cast<double>(scores.size()));
      result_.base_margin.push_back(margin / static_cast<double>(scores.size()));
      base_.push_back(std::move(scores));
    }
    ASSAY_ASSIGN(result_.noise_floor, noise_floor(*store_, model_, set_.windows, settings_));
    // Twice the products of the unedited model where a matrix is changed.
    if (store_->counts().made > made)
      progress_.log(fmt::format("about {:.0f} minutes on this machine",
                                std::ceil(2 * seconds_since(begin) * static_cast<double>(models_.size()) / 60)));
    return {};
  }

  Status measure_text() {
    MeasureOptions measure;
    measure.sweep.memory = tile_memory(settings_);
    measure.sweep.allow_non_finite = true;
    ASSAY_ASSIGN(const ObservedVariants observed, measure_variants(model_, set_.windows, named_, *store_, measure, progress_));
    for (size_t v = 0; v < observed.size(); ++v) {
      WindowTotals totals;
      for (const WindowSums& window : observed[v]) totals.add(window);
      const WindowSums sums = totals.value();
      const auto count = static_cast<double>(sums.count);
      proxy(v, Proxy::kKl) = sums.kl / count;
      proxy(v, Proxy::kPerplexity) = sums.nll_difference / count;
      proxy(v, Proxy::kFlips) = static_cast<double>(sums.flips) / count;
    }
    return {};
  }

  double& proxy(size_t variant, Proxy proxy) { return result_.variants[variant].proxies[static_cast<size_t>(proxy)]; }

  Status measure_proxies() {
    const auto windows = std::span(set_.windows).first(std::min(kReconstructionWindows, set_.windows.size()));
    const auto units = store_->units(store_->key("variant proxies").add("windows", fingerprint(windows)));
    std::optional<VariantProxies> proxies;
    progress_.stage("weights and blocks", named_.size());
    for (size_t v = 0; v < named_.size(); ++v) {
      const auto work = [&]() -> Result<std::string> {
        if (!proxies) {
          ASSAY_ASSIGN(proxies, VariantProxies::make(model_.network, windows));
        }
        ASSAY_ASSIGN(const double weights, proxies->weight_error(named_[v].variant));
        ASSAY_ASSIGN(const double blocks, proxies->reconstruction(named_[v].variant));
        PayloadWriter writer;
        writer.add(weights, "weight error");
        writer.add(blocks, "reconstruction error");
        return std::move(writer).finish();
      };
      ASSAY_ASSIGN(const std::string payload, find_or_make(*units, named_[v].name, work));
      PayloadReader reader(payload);
      proxy(v, Proxy::kWeightError) = reader.real();
      proxy(v, Proxy::kReconstruction) = reader.real();
      ASSAY_TRY(reader.finish());
      progress_.update(v + 1);
    }
    return {};
  }

  Status measure_tasks() {
    progress_.stage("tasks", named_.size() * tasks_.size());
    store_->plan(named_.size() * tasks_.size());
    damage_.resize(named_.size());
    uint64_t done = 0;
    for (size_t v = 0; v < named_.size(); ++v)
      for (size_t t = 0; t < tasks_.size(); ++t) {
        if (progress_.interrupted()) return fail(ErrorCode::kInterrupted, "study proxies: interrupted");
        ASSAY_ASSIGN(const std::vector<ItemScore> scores, score_task(tasks_[t], model_, named_[v].name, named_[v].variant, "", *store_));
        const ItemDamage damage = damage_of(base_[t], scores);
        double margin = 0;
        for (const double one : damage.values[static_cast<size_t>(TaskOutcome::kMargin)]) margin += one;
        result_.variants[v].margin_by_task.push_back(margin / static_cast<double>(scores.size()));
        for (size_t o = 0; o < kTaskOutcomes; ++o)
          damage_[v].values[o].insert(damage_[v].values[o].end(), damage.values[o].begin(), damage.values[o].end());
        progress_.update(++done, named_[v].variant.edits.empty() ? "" : models_[v].name);
      }
    return store_->flush();
  }

  const StudyProxiesOptions& options_;
  const ProxiesConfig& config_;
  const RunSettings& settings_;
  Progress& progress_;
  OpenModel model_;
  ProbeSet set_;
  std::vector<OpenTask> tasks_;
  std::vector<ChangedModel> models_;
  std::unique_ptr<UnitStore> store_;
  std::unique_ptr<ChangeSource> changes_;
  std::unique_ptr<VariantResolver> resolver_;
  std::vector<NamedVariant> named_;
  std::vector<std::vector<ItemScore>> base_;  // by task
  std::vector<ItemDamage> damage_;            // by variant, all tasks' items one after another
  ItemLayout layout_;
  ProxiesResult result_;
  StudyProxiesResult out_;
};

}  // namespace

Result<StudyProxiesResult> study_proxies(const StudyProxiesOptions& options, const RunSettings& settings, Progress& progress) {
  apply_settings(settings);
  return ProxiesStudy(options, settings, progress).run();
}

}  // namespace assay
