#include "assay/job/outlier_runner.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <numeric>
#include <set>

#include "assay/base/parallel.h"
#include "assay/base/payload.h"
#include "assay/base/text.h"
#include "assay/file/tensor_role.h"
#include "assay/probe/check_variant.h"
#include "assay/score/super_weights.h"

namespace assay {
namespace {

using Kind = OutlierRow::Kind;

Result<PromptWindows> open_prompts(const OutlierConfig& config, const OpenModel& model) {
  std::vector<PromptStratum> strata = builtin_prompts();
  if (!config.strata_file.empty()) {
    ASSAY_ASSIGN(strata, read_prompts(config.strata_file));
  }
  if (!config.strata.empty()) {
    std::vector<PromptStratum> chosen;
    for (const std::string& name : config.strata) {
      const auto found = std::find_if(strata.begin(), strata.end(), [&](const PromptStratum& one) { return one.name == name; });
      if (found == strata.end()) {
        std::vector<std::string> names;
        for (const PromptStratum& one : strata) names.push_back(printable(one.name));
        return fail(ErrorCode::kUsage, {"stratum '" + printable(name) + "'", "is not there", "one of " + join(names, ", "), ""});
      }
      chosen.push_back(*found);
    }
    strata = std::move(chosen);
  }
  const auto most = std::min<uint64_t>(config.max_tokens, static_cast<uint64_t>(model.network->hyper().context));
  ASSAY_TRY(check_context(model.network->hyper(), most));
  return make_prompt_windows(strata, *model.tokenizer, most, config.prompts_per_stratum);
}

uint64_t index_of(const Coordinate& at, uint64_t columns) { return at.row * columns + at.column; }
Coordinate place_of(uint64_t index, uint64_t columns) { return {index / columns, index % columns}; }

std::vector<double> flat(std::span<const RankedWeight> ranked) {
  std::vector<double> values;
  for (const RankedWeight& one : ranked)
    values.insert(values.end(), {static_cast<double>(one.matrix), static_cast<double>(one.index), one.score});
  return values;
}

}  // namespace

Result<std::unique_ptr<OutlierRunner>> OutlierRunner::open(const StudyOutliersOptions& options, const RunSettings& settings,
                                                           Progress& progress) {
  if (settings.compute != Compute::kFloat32)
    return fail(ErrorCode::kUsage,
                {"study outliers", "needs float32: single weights change less than bf16 can show", "--compute float32", ""});
  apply_settings(settings);
  std::unique_ptr<OutlierRunner> runner(new OutlierRunner);
  runner->config_ = options.config;
  runner->settings_ = settings;
  runner->progress_ = &progress;
  ASSAY_ASSIGN(runner->model_, open_model(options.model, settings, progress));
  ASSAY_ASSIGN(runner->prompts_, open_prompts(options.config, runner->model_));
  if (!options.config.imatrix.empty()) {
    ASSAY_ASSIGN(Imatrix imatrix, read_imatrix(options.config.imatrix));
    runner->imatrix_ = std::make_shared<const Imatrix>(std::move(imatrix));
  }
  const Network& network = *runner->model_.network;
  ASSAY_ASSIGN(const std::vector<int> layers, layers_of(options.config.layers, runner->layers()));
  for (const TensorInfo& tensor : runner->model_.checkpoint->tensors())
    if (const int layer = role_of(tensor.name).layer;
        tensor.n_dims == 2 && std::ranges::count(layers, layer) > 0 && !edits_of(network, tensor.name, "", {}).empty())
      runner->matrices_.push_back(tensor.name);
  runner->block_matrices_ = runner->matrices_.size();
  if (options.config.layers.empty() && network.head_tensor() != network.embedding_tensor())
    runner->matrices_.push_back(network.head_tensor());
  runner->changes_ =
      std::make_unique<ChangeSource>(runner->model_.network, nullptr, ChangeOptions{memory_budget(settings) / 8, settings.threads});
  runner->resolver_ = std::make_unique<VariantResolver>(runner->model_.network, *runner->changes_);
  ASSAY_ASSIGN(UnitStore store, UnitStore::open(settings, runner->model_, progress));
  runner->store_ = std::make_unique<UnitStore>(std::move(store));
  ASSAY_ASSIGN(runner->noise_floor_,
               assay::noise_floor(*runner->store_, runner->model_, std::span(runner->prompts_.windows).first(1), settings));
  return runner;
}

UnitKey OutlierRunner::key(std::string_view kind) const { return store_->key(kind).add("windows", fingerprint(prompts_.windows)); }

Result<std::string> OutlierRunner::unit(const UnitKey& key, const std::string& name, const std::function<Result<std::string>()>& work) {
  const auto units = store_->units(key);
  ASSAY_ASSIGN(std::string payload, find_or_make(*units, name, work));
  ASSAY_TRY(store_->flush());
  return payload;
}

Result<std::vector<RankedWeight>> OutlierRunner::robust(uint64_t k, size_t matrices) {
  std::string of;
  for (size_t m = 0; m < matrices; ++m) of += matrices_[m] + ",";
  const auto work = [&]() -> Result<std::string> {
    progress_->stage("robust magnitudes", matrices);
    std::vector<TopWeights> tops(matrices, TopWeights(k));
    std::vector<Status> statuses(matrices);
    std::atomic<uint64_t> done = 0;
    parallel_for(matrices, settings_.threads, [&](size_t m) {
      const auto values = model_.checkpoint->read_float(*model_.checkpoint->find(matrices_[m]));
      if (!values) {
        statuses[m] = fail(values.error());
        return;
      }
      add_robust(static_cast<uint32_t>(m), *values, tops[m]);
      progress_->update(++done);
    });
    TopWeights all(k);
    for (size_t m = 0; m < matrices; ++m) {
      ASSAY_TRY(statuses[m]);
      all.merge(tops[m]);
    }
    PayloadWriter writer;
    writer.add(std::span<const double>(flat(all.ranked())), "robust scores");
    return std::move(writer).finish();
  };
  ASSAY_ASSIGN(const std::string payload, unit(store_->key("outliers robust").add("matrices", of), std::to_string(k), work));
  PayloadReader reader(payload);
  const std::vector<double> values = reader.reals();
  ASSAY_TRY(reader.finish());
  std::vector<RankedWeight> ranked;
  for (size_t i = 0; i + 2 < values.size(); i += 3)
    ranked.push_back({static_cast<uint32_t>(values[i]), static_cast<uint64_t>(values[i + 1]), values[i + 2]});
  return ranked;
}

Status OutlierRunner::add_super_weights(std::vector<OutlierRow>& rows, OutlierResult& result) {
  const Network& network = *model_.network;
  const auto add = [&](int layer, const Coordinate& at, const char* source) -> Status {
    if (layer < 0 || layer >= layers())
      return fail(ErrorCode::kMismatch,
                  {"super weight", "is of block " + std::to_string(layer), "0 to " + std::to_string(layers() - 1), "another model's?"});
    OutlierRow row;
    row.kind = Kind::kSuper;
    row.source = source;
    row.place = {network.tensor_name(layer, Site::kDown), at};
    const TensorInfo* info = model_.checkpoint->find(row.place.tensor);
    if (info == nullptr || at.row >= info->rows() || at.column >= info->row_length())
      return fail(ErrorCode::kMismatch,
                  {"super weight " + name_of(row.place), "is not in the matrix", "a row and a column of it", "another model's?"});
    const bool known = std::any_of(rows.begin(), rows.end(), [&](const OutlierRow& one) { return one.place == row.place; });
    if (!known) rows.push_back(std::move(row));
    return {};
  };
  for (const PublishedSuperWeight& one : config_.super_weights) ASSAY_TRY(add(one.layer, one.at, "config"));
  for (const PublishedSuperWeight& one : published_super_weights(model_.path))
    if (!add(one.layer, one.at, "published"))
      result.notes.push_back("a super weight published under this model's name does not fit its shape: left out");
  if (config_.spike == 0) return {};
  const auto work = [&]() -> Result<std::string> {
    ASSAY_ASSIGN(const SuperWeightSearch search, find_super_weights(network, prompts_.windows[0], config_.spike));
    std::vector<double> found;
    for (const SuperWeight& one : search.found)
      found.insert(found.end(), {double(one.layer), static_cast<double>(one.row), static_cast<double>(one.column)});
    PayloadWriter writer;
    writer.add(std::span<const double>(search.grades), "grades");
    writer.add(std::span<const double>(found), "super weights");
    writer.add(uint64_t{search.complete});
    return std::move(writer).finish();
  };
  ASSAY_ASSIGN(const std::string payload, unit(key("outliers detector").add("spike", config_.spike), "search", work));
  PayloadReader reader(payload);
  const std::vector<double> grades = reader.reals(), found = reader.reals();
  const bool complete = reader.number() != 0;
  ASSAY_TRY(reader.finish());
  for (const double grade : grades) result.detector_grade = std::max(result.detector_grade, grade);
  for (size_t i = 0; i + 2 < found.size(); i += 3)
    ASSAY_TRY(add(static_cast<int>(found[i]), {static_cast<uint64_t>(found[i + 1]), static_cast<uint64_t>(found[i + 2])}, "detected"));
  if (!complete) result.notes.push_back("the search for super weights ended after its rounds: there may be more");
  return {};
}

Result<std::vector<OutlierRow>> OutlierRunner::candidates(OutlierResult& result) {
  std::vector<OutlierRow> rows;
  ASSAY_TRY(add_super_weights(rows, result));
  ASSAY_ASSIGN(const std::vector<RankedWeight> ranked, robust(std::max(config_.robust, config_.walk), matrices_.size()));
  for (size_t i = 0; i < ranked.size(); ++i) {
    const TensorInfo* info = model_.checkpoint->find(matrices_[ranked[i].matrix]);
    OutlierRow row;
    row.place = {info->name, place_of(ranked[i].index, info->row_length())};
    row.listed = i < config_.robust;
    const bool known = std::any_of(rows.begin(), rows.end(), [&](const OutlierRow& one) { return one.place == row.place; });
    if (!known) rows.push_back(std::move(row));
  }
  std::vector<size_t> all(rows.size());
  std::iota(all.begin(), all.end(), size_t{0});
  ASSAY_TRY(fill(rows, all));
  return rows;
}

Status OutlierRunner::fill(std::vector<OutlierRow>& rows, std::span<const size_t> some) {
  std::map<std::string, std::vector<size_t>> by_tensor;
  for (const size_t row : some) by_tensor[rows[row].place.tensor].push_back(row);
  for (const auto& [tensor, own] : by_tensor) {
    const TensorInfo* info = model_.checkpoint->find(tensor);
    ASSAY_ASSIGN(const std::vector<float> values, model_.checkpoint->read_float(*info, settings_.threads));
    const std::vector<float> importance = imatrix_ ? imatrix_->importance(tensor) : std::vector<float>{};
    const MatrixFacts facts(values, info->rows(), info->row_length(),
                            importance.size() == info->row_length() ? std::span<const float>(importance) : std::span<const float>{});
    const RobustScale scale = robust_scale(values);
    for (const size_t r : own) {
      OutlierRow& row = rows[r];
      const TensorRole role = role_of(tensor);
      row.role = name_of(role.role);
      row.layer = role.layer;
      row.weight = values[index_of(row.place.at, info->row_length())];
      row.robust_score = scale.score(static_cast<float>(row.weight));
      row.row_norm = facts.row_norm(row.place.at.row);
      row.column_norm = facts.column_norm(row.place.at.column);
      row.activation = facts.activation(row.place.at.column);
    }
  }
  return {};
}

Status OutlierRunner::add_controls(std::vector<OutlierRow>& rows, const std::vector<size_t>& targets) {
  std::map<std::string, std::vector<size_t>> by_tensor;
  for (const size_t target : targets) by_tensor[rows[target].place.tensor].push_back(target);
  std::map<size_t, std::vector<OutlierRow>> found;
  progress_->stage("controls", by_tensor.size());
  uint64_t done = 0;
  for (const auto& [tensor, own] : by_tensor) {
    const TensorInfo* info = model_.checkpoint->find(tensor);
    ASSAY_ASSIGN(const std::vector<float> values, model_.checkpoint->read_float(*info, settings_.threads));
    const std::vector<float> importance = imatrix_ ? imatrix_->importance(tensor) : std::vector<float>{};
    const MatrixFacts facts(values, info->rows(), info->row_length(),
                            importance.size() == info->row_length() ? std::span<const float>(importance) : std::span<const float>{});
    std::set<uint64_t> used;  // neither a candidate nor a control twice
    for (const OutlierRow& row : rows)
      if (row.place.tensor == tensor) used.insert(index_of(row.place.at, info->row_length()));
    MatchOptions options;
    options.magnitude = config_.match_magnitude;
    options.seed = config_.seed;
    for (const size_t target : own)
      for (const Control& control : facts.controls(index_of(rows[target].place.at, info->row_length()), config_.controls, used, options)) {
        used.insert(control.index);
        OutlierRow row;
        row.kind = Kind::kControl;
        row.place = {tensor, place_of(control.index, info->row_length())};
        row.target = target;
        row.match_distance = control.distance;
        found[target].push_back(std::move(row));
      }
    progress_->update(++done);
  }
  std::vector<size_t> added;
  for (const size_t target : targets) {
    rows[target].first_control = rows.size();
    rows[target].controls = found[target].size();
    for (OutlierRow& row : found[target]) {
      added.push_back(rows.size());
      rows.push_back(std::move(row));
    }
  }
  return fill(rows, added);
}

MeasureOptions OutlierRunner::measure_options() const {
  MeasureOptions options;
  options.sweep.memory = tile_memory(settings_);
  options.sweep.allow_non_finite = true;
  return options;
}

Result<std::vector<MeasuredVariant>> OutlierRunner::measure(std::span<const Variant> variants) {
  // Tensor by tensor: a tensor is decoded once for all its variants. Equal changes are measured once.
  std::vector<std::string> hashes;
  for (const Variant& variant : variants) hashes.push_back(hash_of(variant));
  std::vector<size_t> order(variants.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto tensor_of = [&](size_t v) { return variants[v].weights.empty() ? std::string() : variants[v].weights[0].tensor; };
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return std::pair(tensor_of(a), hashes[a]) < std::pair(tensor_of(b), hashes[b]); });
  const ModelShape shape(model_.network->hyper(), model_.checkpoint->tensors());
  std::vector<NamedVariant> named;
  std::map<std::string, size_t> places;
  for (const size_t v : order) {
    if (places.contains(hashes[v])) continue;
    ASSAY_TRY(check(variants[v], shape));
    ASSAY_ASSIGN(ResolvedVariant resolved, resolver_->resolve(variants[v]));
    places[hashes[v]] = named.size();
    named.push_back({hashes[v], std::move(resolved)});
  }
  ASSAY_ASSIGN(const ObservedPositions observed,
               measure_positions(model_, prompts_.windows, named, *store_, measure_options(), *progress_));
  std::vector<MeasuredVariant> measured;
  for (const std::string& hash : hashes) measured.push_back({observed.sums[places.at(hash)], observed.kl[places.at(hash)]});
  return measured;
}

Result<double> OutlierRunner::speed(std::span<const OutlierRow> rows) {
  constexpr size_t kSome = 16;
  std::vector<ResolvedVariant> some;
  for (size_t r = 0; r < std::min(kSome, rows.size()); ++r) {
    ASSAY_ASSIGN(ResolvedVariant resolved, resolver_->resolve(zeroed({&rows[r].place, 1})));
    some.push_back(std::move(resolved));
  }
  const auto begin = std::chrono::steady_clock::now();
  ASSAY_TRY(run_sweep(*model_.network, std::span(prompts_.windows).first(1), some, measure_options().sweep,
                      [](size_t, size_t, std::span<const PositionObservation>) {}));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return static_cast<double>(some.size() * prompts_.windows[0].tokens.size()) / std::max(seconds, 1e-6);
}

}  // namespace assay
