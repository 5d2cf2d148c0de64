#include "assay/job/score_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <limits>

#include "assay/job/score_stages.h"
#include "assay/job/table_rows.h"
#include "assay/plan/presets.h"
#include "assay/score/registry.h"

namespace assay {
namespace {

// The model's matrices by block, -1 first.
std::vector<LayerNumbers> layers_of(const Checkpoint& checkpoint, int blocks) {
  std::vector<LayerNumbers> layers(static_cast<size_t>(blocks) + 1);
  for (int layer = -1; layer < blocks; ++layer) layers[static_cast<size_t>(layer + 1)].layer = layer;
  for (const TensorInfo& tensor : checkpoint.tensors()) {
    if (!is_quantizable(tensor)) continue;
    const TensorRole role = role_of(tensor.name);
    if (role.layer >= blocks) continue;
    layers[static_cast<size_t>(std::max(role.layer, -1) + 1)].matrices.push_back(
        {tensor.name, role, tensor.elements() / tensor.row_length(), tensor.row_length()});
  }
  return layers;
}

// An importance matrix that is given stands in for the text it would be made from.
bool needs_text(const Score& score, const ScoreModelOptions& options) {
  const auto* const change = dynamic_cast<const ChangeScore*>(&score);
  return score.info().needs_text && (options.imatrix.empty() || change == nullptr || !change->needs_importance());
}

// What is asked for fits together; said before anything is read.
Status check(const std::vector<std::shared_ptr<Score>>& scores, const ScoreModelOptions& options) {
  for (const auto& score : scores) {
    const ScoreInfo info = score->info();
    if (needs_text(*score, options) && options.text.path.empty())
      return fail(ErrorCode::kUsage, {"score " + std::string(info.name), "needs a text", "--text FILE", ""});
    if (info.by_type && options.types.empty())
      return fail(ErrorCode::kUsage, {"score " + std::string(info.name), "needs target types", "--types", ""});
  }
  if (options.terms.empty()) return {};
  if (std::none_of(scores.begin(), scores.end(), [](const auto& score) { return score->info().name == "curvature"; }))
    return fail(ErrorCode::kUsage, {"--terms", "are those of curvature, which is not asked for", "--scores curvature", ""});
  std::error_code error;
  if (!options.force && std::filesystem::exists(options.terms, error))
    return fail(ErrorCode::kUsage, {"--terms", options.terms + " exists", "another name, or --force", ""});
  return {};
}

Status open(ScoreRun& run) {
  const ScoreModelOptions& options = run.options;
  ASSAY_ASSIGN(run.model, open_model(options.model, run.settings, run.progress));
  ASSAY_ASSIGN(run.result.model_sha256, fingerprint(*run.model.checkpoint));
  if (std::any_of(run.scores.begin(), run.scores.end(), [&](const auto& score) { return needs_text(*score, options); })) {
    ASSAY_ASSIGN(run.set, open_windows(options.text, run.model));
    run.result.tokens_scored = run.set.tokens_scored;
    run.result.windows = run.set.windows.size();
    run.result.documents = run.set.documents;
  }
  ASSAY_ASSIGN(run.given_imatrix, open_imatrix(options.imatrix));
  ASSAY_ASSIGN(UnitStore store, UnitStore::open(run.settings, run.model, run.progress));
  run.store = std::make_unique<UnitStore>(std::move(store));
  const ChangeOptions change_options{memory_budget(run.settings) / 16, run.settings.threads};
  run.encoded = std::make_unique<ChangeSource>(run.model.network, run.given_imatrix, change_options);
  run.layers = layers_of(*run.model.checkpoint, run.model.network->hyper().layers);
  run.context = std::make_unique<ScoreContext>(ScoreContext{run.model.network->hyper(), run.settings.seed, run.settings.threads});
  if (run.weights) {
    std::map<std::string, std::string> facts;
    facts["model_sha256"] = run.result.model_sha256;
    if (!run.set.windows.empty()) {
      facts["text_sha256"] = run.set.corpus_sha256;
      facts["windows"] = std::to_string(run.set.windows.size());
      facts["tokens_scored"] = std::to_string(run.set.tokens_scored);
    }
    if (run.given_imatrix) facts["imatrix_sha256"] = fingerprint(*run.given_imatrix);
    run.weights->describe(std::move(facts));
  }
  run.budget = options.budget.value_or(std::numeric_limits<double>::infinity());
  for (const auto& score : run.scores) run.result.scores.push_back({score->info(), {std::string(score->info().name), {}, 0, 0, {}}});
  return {};
}

}  // namespace

Result<LayerView> DecodedLayer::view() {
  if (views_.empty() && !shape_.matrices.empty()) ASSAY_TRY(decode());
  return LayerView{shape_.layer, views_};
}

Status DecodedLayer::decode() {
  const Stopwatch watch(seconds_);
  for (const MatrixShape& matrix : shape_.matrices) {
    ASSAY_ASSIGN(std::vector<float> values, checkpoint_.read_float(*checkpoint_.find(matrix.tensor), threads_));
    values_.push_back(std::move(values));
    importance_.push_back(imatrix_ ? imatrix_->importance(matrix.tensor) : std::vector<float>());
    mean_inputs_.push_back(imatrix_ ? imatrix_->mean_inputs(matrix.tensor) : std::vector<float>());
  }
  for (size_t m = 0; m < values_.size(); ++m) {
    const MatrixShape& matrix = shape_.matrices[m];
    views_.push_back({matrix.tensor, matrix.role, matrix.rows, matrix.columns, values_[m], importance_[m], mean_inputs_[m]});
  }
  return {};
}

std::vector<GgmlType> ScoreRun::types_of(const std::string& tensor) const {
  return usable_types(*model.checkpoint->find(tensor), options.types);
}

std::vector<WeightedMatrix> ScoreRun::weighted_matrices(const std::function<bool(const std::string& tensor)>& has_value) const {
  std::vector<WeightedMatrix> matrices;
  for (const LayerNumbers& layer : layers)
    for (const MatrixShape& shape : layer.matrices)
      if (has_value(shape.tensor)) matrices.push_back({shape, types_of(shape.tensor)});
  return matrices;
}

bool ScoreRun::spend(double estimate, size_t place) {
  const std::string name(result.scores[place].info.name);
  if (estimate > budget) {
    table(place).notes.push_back(fmt::format("left out: takes {:.0f} forwards of a window, {:.0f} of --budget are left", estimate, budget));
    progress.log(fmt::format("{}: {}", name, table(place).notes.back()));
    return false;
  }
  budget -= estimate;
  progress.log(fmt::format("{}: takes {:.0f} forwards of a window", name, estimate));
  return true;
}

Result<std::string> numbers_payload(std::span<const double> numbers, std::string_view what) {
  PayloadWriter writer;
  writer.add(numbers, what);
  return std::move(writer).finish();
}
Result<std::vector<double>> numbers_from(const std::string& payload) {
  PayloadReader reader(payload);
  std::vector<double> numbers = reader.reals();
  ASSAY_TRY(reader.finish());
  return numbers;
}

std::string names_of(std::span<const GgmlType> types) {
  std::string names;
  for (const GgmlType type : types) names += find_type(type)->name + std::string(",");
  return names;
}

std::vector<ScoreInfo> score_infos() {
  std::vector<ScoreInfo> infos;
  for (const auto& score : all_scores()) infos.push_back(score->info());
  return infos;
}

Result<ScoreModelResult> score_model(const ScoreModelOptions& options, const RunSettings& settings, Progress& progress) {
  apply_settings(settings);
  ScoreRun run(options, settings, progress);
  ASSAY_ASSIGN(auto named, scores_named(options.scores));
  for (auto& score : named) run.scores.push_back(std::move(score));
  ASSAY_TRY(check(run.scores, options));
  if (!options.weights.empty() && !settings.only_finished) {
    ASSAY_ASSIGN(run.weights, WeightFiles::prepare(options.weights, run.scores, options.types, options.force));
  }
  ASSAY_TRY(open(run));
  for (const auto stage : {score_activations, score_weights, score_changes, score_inputs, score_gradients, score_passes, score_variants})
    ASSAY_TRY(stage(run));
  if (run.weights) {
    ASSAY_ASSIGN(run.result.weight_files, run.weights->finish(progress));
    run.result.without_weights = run.weights->left_out();
  }
  run.result.units = run.store->counts();
  run.result.encode_seconds = run.encoded->encoding_seconds();
  return std::move(run.result);
}

}  // namespace assay
