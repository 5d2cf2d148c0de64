#include "assay/job/score_model.h"

#include <algorithm>
#include <map>

#include "assay/base/parallel.h"
#include "assay/base/payload.h"
#include "assay/base/sha256.h"
#include "assay/base/stopwatch.h"
#include "assay/job/table_rows.h"
#include "assay/plan/presets.h"
#include "assay/probe/changes.h"
#include "assay/probe/input_squares.h"
#include "assay/score/activation_score.h"
#include "assay/score/gradient_run.h"
#include "assay/score/importance_score.h"
#include "assay/score/input_score.h"
#include "assay/score/registry.h"
#include "assay/score/spectrum.h"

namespace assay {
namespace {

constexpr double kGradientPass = 3;  // one forward and one backward, in forwards

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

// A layer's matrices, decoded when first asked for and dropped with this.
class DecodedLayer {
 public:
  DecodedLayer(const Checkpoint& checkpoint, const LayerNumbers& shape, const Imatrix* imatrix, int threads, double& seconds)
      : checkpoint_(checkpoint), shape_(shape), imatrix_(imatrix), threads_(threads), seconds_(seconds) {}

  Result<LayerView> view() {
    if (views_.empty() && !shape_.matrices.empty()) ASSAY_TRY(decode());
    return LayerView{shape_.layer, views_};
  }

 private:
  Status decode() {
    const Stopwatch watch(seconds_);
    for (const MatrixShape& matrix : shape_.matrices) {
      ASSAY_ASSIGN(std::vector<float> values, checkpoint_.read_float(*checkpoint_.find(matrix.tensor), threads_));
      values_.push_back(std::move(values));
      importance_.push_back(imatrix_ ? imatrix_->importance(matrix.tensor) : std::vector<float>());
    }
    for (size_t m = 0; m < values_.size(); ++m) {
      const MatrixShape& matrix = shape_.matrices[m];
      views_.push_back({matrix.tensor, matrix.role, matrix.rows, matrix.columns, values_[m], importance_[m]});
    }
    return {};
  }

  const Checkpoint& checkpoint_;
  const LayerNumbers& shape_;
  const Imatrix* imatrix_;
  int threads_;
  double& seconds_;
  std::vector<std::vector<float>> values_, importance_;
  std::vector<MatrixView> views_;
};

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

template <class Kind>
struct Running {
  Kind* score;
  size_t place;  // among all scores
};

class ScoreModel {
 public:
  ScoreModel(const ScoreModelOptions& options, const RunSettings& settings, Progress& progress)
      : options_(options), settings_(settings), progress_(progress) {}

  Result<ScoreModelResult> run() {
    apply_settings(settings_);
    ASSAY_ASSIGN(auto named, scores_named(options_.scores));
    for (auto& score : named) scores_.push_back(std::move(score));
    ASSAY_TRY(check());
    ASSAY_ASSIGN(model_, open_model(options_.model, settings_, progress_));
    if (needs_text_) {
      ASSAY_ASSIGN(set_, open_windows(options_.text, model_));
    }
    ASSAY_ASSIGN(given_imatrix_, open_imatrix(options_.imatrix));
    ASSAY_ASSIGN(UnitStore store, UnitStore::open(settings_, model_, progress_));
    store_ = std::make_unique<UnitStore>(std::move(store));
    encoded_ =
        std::make_unique<ChangeSource>(model_.network, given_imatrix_, ChangeOptions{memory_budget(settings_) / 16, settings_.threads});
    layers_ = layers_of(*model_.checkpoint, model_.network->hyper().layers);
    context_ = std::make_unique<ScoreContext>(ScoreContext{model_.network->hyper(), settings_.seed, settings_.threads});
    for (const auto& score : scores_) result_.scores.push_back({score->info(), {std::string(score->info().name), {}, 0, 0, {}}});
    ASSAY_TRY(activations());
    ASSAY_TRY(weights());
    ASSAY_TRY(changes());
    ASSAY_TRY(inputs());
    ASSAY_TRY(gradients());
    ASSAY_TRY(curvature());
    if (needs_text_) {
      result_.tokens_scored = set_.tokens_scored;
      result_.windows = set_.windows.size();
      result_.documents = set_.documents;
    }
    result_.units = store_->counts();
    result_.encode_seconds = encoded_->encoding_seconds();
    return std::move(result_);
  }

 private:
  // What is asked for fits together; said before anything is read.
  Status check() {
    for (const auto& score : scores_) {
      const ScoreInfo info = score->info();
      if (info.needs_text && options_.text.path.empty())
        return fail(ErrorCode::kUsage, {"score " + std::string(info.name), "needs a text", "--text FILE", ""});
      if (info.by_type && options_.types.empty())
        return fail(ErrorCode::kUsage, {"score " + std::string(info.name), "needs target types", "--types", ""});
      needs_text_ = needs_text_ || info.needs_text;
    }
    return {};
  }

  template <class Kind>
  std::vector<Running<Kind>> of_kind() const {
    std::vector<Running<Kind>> found;
    for (size_t i = 0; i < scores_.size(); ++i)
      if (auto* const score = dynamic_cast<Kind*>(scores_[i].get())) found.push_back({score, i});
    return found;
  }
  ScoreTable& table(size_t place) { return result_.scores[place].table; }
  std::span<const LayerNumbers> blocks() const { return std::span(layers_).subspan(1); }
  double passes() const { return static_cast<double>(set_.windows.size()); }

  // One forward pass: the streams for activation scores, squares of inputs for importance.
  Status activations() {
    const auto on_streams = of_kind<ActivationScore>();
    const auto on_importance = of_kind<ImportanceScore>();
    const auto on_changes = of_kind<ChangeScore>();
    const bool weighted = std::any_of(on_changes.begin(), on_changes.end(), [](const auto& one) { return one.score->needs_importance(); });
    if (on_streams.empty() && on_importance.empty() && !weighted) return {};
    const size_t step = windows_per_batch(set_.windows[0].tokens.size()), count = set_.windows.size();
    progress_.stage("activations", count);
    std::string names;
    for (const auto& one : on_streams) names += std::string(one.score->info().name) + ",";
    UnitKey key = store_->key("activations");
    key.add("scores", names).add("windows", fingerprint(set_.windows));
    const auto units = store_->units(std::move(key));
    units->plan((count + step - 1) / step);
    InputTotals squares;
    std::vector<std::vector<double>> sums(on_streams.size());
    for (size_t begin = 0; begin < count; begin += step) {
      const auto batch = std::span(set_.windows).subspan(begin, std::min(step, count - begin));
      ASSAY_ASSIGN(const std::string payload, find_or_make(*units, std::to_string(begin) + "+" + std::to_string(batch.size()),
                                                           [&] { return run_batch(batch, on_streams); }));
      PayloadReader reader(payload);
      const InputSquares fresh = InputSquares::read(reader);
      for (std::vector<double>& sum : sums) {
        const std::vector<double> numbers = reader.reals();
        sum.resize(numbers.size());
        for (size_t i = 0; i < numbers.size(); ++i) sum[i] += numbers[i];
      }
      ASSAY_TRY(reader.finish());
      squares.add(fresh, batch.size());
      progress_.update(begin + batch.size());
    }
    collected_ = std::make_shared<const Imatrix>(squares.imatrix(count, set_.windows[0].tokens.size()));
    for (size_t i = 0; i < on_streams.size(); ++i) {
      table(on_streams[i].place).rows = on_streams[i].score->finish(sums[i], blocks(), *context_);
      table(on_streams[i].place).forward_equivalents = passes();
    }
    for (const auto& one : on_importance) {
      table(one.place).rows = one.score->rows(*collected_, layers_);
      table(one.place).forward_equivalents = passes();
    }
    return {};
  }

  Result<std::string> run_batch(std::span<const Window> batch, const std::vector<Running<ActivationScore>>& scores) {
    const auto count = static_cast<int64_t>(batch.size());
    InputSquares squares;
    ActivationBatch seen{*model_.network, {}, count, static_cast<int64_t>(batch[0].tokens.size())};
    {
      const Stopwatch watch(result_.forward_seconds);
      const auto stream = [&](int, const at::Tensor& h) { seen.streams.push_back(h.to(at::kCPU)); };
      ASSAY_TRY(run_blocks(
          *model_.network, batch,
          [&](int layer, Site site, const at::Tensor& x) { squares.add(model_.network->tensor_name(layer, site), x, count); },
          scores.empty() ? StreamObserver() : stream));
    }
    PayloadWriter writer;
    squares.write(writer);
    for (const auto& one : scores) {
      const Stopwatch watch(table(one.place).seconds);
      ASSAY_ASSIGN(const std::vector<double> numbers, one.score->numbers(seen, *context_));
      writer.add(std::span<const double>(numbers), one.score->info().name);
    }
    return std::move(writer).finish();
  }

  DecodedLayer decoded(const LayerNumbers& layer, int threads, double& seconds) const {
    return {*model_.checkpoint, layer, (given_imatrix_ ? given_imatrix_ : collected_).get(), threads, seconds};
  }

  // Layers side by side, each on one thread: a layer's numbers come from the same operations in the same order on any machine.
  Status weights() {
    const auto running = of_kind<WeightScore>();
    if (running.empty()) return {};
    progress_.stage("weights", layers_.size());
    std::vector<std::unique_ptr<UnitCache>> units;
    for (const auto& one : running) units.push_back(store_->units(store_->key("weight score").add("score", one.score->info().name)));
    units[0]->plan(layers_.size() * running.size());
    std::vector<LayerWork> work(layers_.size());
    for (size_t l = 0; l < layers_.size(); ++l)
      for (const auto& cache : units) {
        ASSAY_ASSIGN(std::optional<std::string> found, cache->find(unit_of(layers_[l])));
        work[l].payloads.push_back(std::move(found));
      }
    ASSAY_TRY(prepare(running, work));
    const auto threads = static_cast<size_t>(settings_.threads > 0 ? settings_.threads : available_threads());
    for (size_t begin = 0; begin < layers_.size(); begin += threads) {
      if (progress_.interrupted()) return fail(ErrorCode::kInterrupted, "score: interrupted between layers");
      const size_t end = std::min(begin + threads, layers_.size());
      OneThread().parallel(end - begin, static_cast<int>(threads),
                           [&](size_t i) { work[begin + i].status = measure(running, layers_[begin + i], work[begin + i]); });
      for (size_t l = begin; l < end; ++l) {
        ASSAY_TRY(work[l].status);
        for (const auto& [score, seconds] : work[l].seconds) {
          table(running[score].place).seconds += seconds;
          ASSAY_TRY(units[score]->keep(unit_of(layers_[l]), *work[l].payloads[score], seconds));
        }
        result_.decode_seconds += work[l].decode_seconds;
      }
      progress_.update(end);
    }
    for (size_t s = 0; s < running.size(); ++s) {
      std::vector<LayerNumbers> numbers = layers_;
      for (size_t l = 0; l < layers_.size(); ++l) {
        ASSAY_ASSIGN(numbers[l].numbers, numbers_from(*work[l].payloads[s]));
      }
      table(running[s].place).rows = running[s].score->finish(numbers, *context_);
    }
    return {};
  }

  // A layer's payloads, one per score, and what making the missing ones took.
  struct LayerWork {
    std::vector<std::optional<std::string>> payloads;
    std::vector<std::pair<size_t, double>> seconds;  // of scores made now
    double decode_seconds = 0;
    Status status;
  };

  static std::string unit_of(const LayerNumbers& layer) { return "layer " + std::to_string(layer.layer); }

  // Scores that have work left see the matrices outside the blocks.
  Status prepare(const std::vector<Running<WeightScore>>& running, std::span<const LayerWork> work) {
    DecodedLayer outside = decoded(layers_[0], settings_.threads, result_.decode_seconds);
    for (size_t s = 0; s < running.size(); ++s) {
      const auto& one = running[s];
      const bool done = std::all_of(work.begin(), work.end(), [s](const LayerWork& layer) { return layer.payloads[s].has_value(); });
      if (done || !one.score->needs_outside()) continue;
      ASSAY_ASSIGN(const LayerView view, outside.view());
      const Stopwatch watch(table(one.place).seconds);
      ASSAY_TRY(one.score->prepare(view, *context_));
    }
    return {};
  }

  Status measure(const std::vector<Running<WeightScore>>& running, const LayerNumbers& shape, LayerWork& work) const {
    const ScoreContext alone{context_->hyper, context_->seed, 1};
    DecodedLayer layer = decoded(shape, 1, work.decode_seconds);
    for (size_t s = 0; s < running.size(); ++s) {
      if (work.payloads[s]) continue;
      ASSAY_ASSIGN(const LayerView view, layer.view());
      double seconds = 0;
      {
        const Stopwatch watch(seconds);
        ASSAY_ASSIGN(const std::vector<double> made, running[s].score->numbers(view, alone));
        ASSAY_ASSIGN(work.payloads[s], numbers_payload(made, running[s].score->info().name));
      }
      work.seconds.emplace_back(s, seconds);
    }
    return {};
  }

  // Each matrix is encoded once per type for all scores that look at the change.
  Status changes() {
    const auto running = of_kind<ChangeScore>();
    if (running.empty()) return {};
    size_t matrices = 0;
    for (const LayerNumbers& layer : layers_) matrices += layer.matrices.size();
    progress_.stage("types", matrices);
    const std::shared_ptr<const Imatrix> importance = given_imatrix_ ? given_imatrix_ : collected_;
    std::string types;
    for (const GgmlType type : options_.types) types += find_type(type)->name + std::string(",");
    std::vector<std::unique_ptr<UnitCache>> units;
    for (const auto& one : running) {
      UnitKey key = store_->key("change score");
      key.add("score", one.score->info().name).add("types", types).add("imatrix", given_imatrix_ ? fingerprint(*given_imatrix_) : "");
      if (one.score->needs_importance()) key.add("importance", fingerprint(*importance));
      units.push_back(store_->units(std::move(key)));
    }
    units[0]->plan(matrices * running.size());
    size_t done = 0;
    for (const LayerNumbers& layer : layers_) {
      DecodedLayer weights = decoded(layer, settings_.threads, result_.decode_seconds);
      for (size_t m = 0; m < layer.matrices.size(); ++m) {
        if (progress_.interrupted()) return fail(ErrorCode::kInterrupted, "score: interrupted between matrices");
        ASSAY_TRY(change_rows(running, units, weights, layer.matrices[m], m));
        progress_.update(++done);
      }
    }
    return {};
  }

  Status change_rows(const std::vector<Running<ChangeScore>>& running, const std::vector<std::unique_ptr<UnitCache>>& units,
                     DecodedLayer& weights, const MatrixShape& shape, size_t place) {
    const std::vector<GgmlType> types = usable_types(*model_.checkpoint->find(shape.tensor), options_.types);
    std::vector<at::Tensor> made(types.size());
    for (size_t s = 0; s < running.size(); ++s) {
      const ChangeScore& score = *running[s].score;
      const auto work = [&]() -> Result<std::string> {
        ASSAY_ASSIGN(const LayerView view, weights.view());
        const MatrixView& matrix = view.matrices[place];
        std::vector<double> values;
        for (size_t t = 0; t < types.size(); ++t) {
          if (!made[t].defined()) {
            ASSAY_ASSIGN(made[t], encoded_->requantized(shape.tensor, types[t]));
          }
          const Stopwatch watch(table(running[s].place).seconds);
          const std::span<const float> change(made[t].const_data_ptr<float>(), matrix.values.size());
          ASSAY_ASSIGN(const double value, score.value(matrix, types[t], change, *context_));
          values.push_back(value);
        }
        return numbers_payload(values, score.info().name);
      };
      // A matrix outside the blocks may have no importance: it has no value then.
      ScoreTable& table_of = table(running[s].place);
      if (score.needs_importance()) {
        if (!(given_imatrix_ ? given_imatrix_ : collected_)->entries.contains(shape.tensor)) continue;
        table_of.forward_equivalents = passes();
      }
      ASSAY_ASSIGN(const std::string payload, find_or_make(*units[s], shape.tensor, work));
      ASSAY_ASSIGN(const std::vector<double> values, numbers_from(payload));
      if (values.size() != types.size()) return fail(ErrorCode::kBadInput, "store: a finished unit has another number of types");
      ScoreRow row{shape.tensor, {shape.tensor}, shape.elements(), {}};
      for (size_t t = 0; t < types.size(); ++t) row.cells.push_back({types[t], values[t], 0});
      table_of.rows.push_back(std::move(row));
    }
    return {};
  }

  // Scores of a matrix and some rows of its inputs: matrices side by side, each on one thread.
  Status inputs() {
    const auto running = of_kind<InputScore>();
    if (running.empty()) return {};
    std::vector<const MatrixShape*> matrices;
    for (const LayerNumbers& layer : blocks())
      for (const MatrixShape& matrix : layer.matrices) matrices.push_back(&matrix);
    progress_.stage("inputs", matrices.size());
    std::vector<std::unique_ptr<UnitCache>> units;
    std::vector<std::vector<std::optional<std::string>>> payloads(running.size());
    bool missing = false;
    for (size_t s = 0; s < running.size(); ++s) {
      UnitKey key = store_->key("input score");
      key.add("score", running[s].score->info().name).add("windows", fingerprint(set_.windows));
      units.push_back(store_->units(std::move(key)));
      for (const MatrixShape* const matrix : matrices) {
        ASSAY_ASSIGN(std::optional<std::string> found, units[s]->find(matrix->tensor));
        missing = missing || !found;
        payloads[s].push_back(std::move(found));
      }
    }
    units[0]->plan(matrices.size() * running.size());
    std::map<std::string, at::Tensor> samples;
    if (missing) {
      ASSAY_ASSIGN(samples, sample_inputs());
    }
    const auto threads = static_cast<size_t>(settings_.threads > 0 ? settings_.threads : available_threads());
    for (size_t begin = 0; begin < matrices.size(); begin += threads) {
      if (progress_.interrupted()) return fail(ErrorCode::kInterrupted, "score: interrupted between matrices");
      const size_t end = std::min(begin + threads, matrices.size());
      std::vector<InputWork> work(end - begin, InputWork{std::vector<double>(running.size()), {}});
      OneThread().parallel(end - begin, static_cast<int>(threads), [&](size_t i) {
        const MatrixShape& shape = *matrices[begin + i];
        if (const auto sample = samples.find(shape.tensor); sample != samples.end())
          work[i].status = measure_inputs(running, shape, sample->second, payloads, begin + i, work[i].seconds);
      });
      for (size_t i = 0; i < work.size(); ++i) {
        ASSAY_TRY(work[i].status);
        for (size_t s = 0; s < running.size(); ++s) {
          if (work[i].seconds[s] > 0) {
            table(running[s].place).seconds += work[i].seconds[s];
            ASSAY_TRY(units[s]->keep(matrices[begin + i]->tensor, *payloads[s][begin + i], work[i].seconds[s]));
          }
          if (!payloads[s][begin + i]) continue;
          ASSAY_ASSIGN(const std::vector<double> value, numbers_from(*payloads[s][begin + i]));
          table(running[s].place).rows.push_back(matrix_row(*matrices[begin + i], value.empty() ? 0 : value[0]));
        }
      }
      progress_.update(end);
    }
    for (const auto& one : running) table(one.place).forward_equivalents = std::min(1.0, passes());
    return {};
  }
  struct InputWork {
    std::vector<double> seconds;  // of each score made now; 0: found
    Status status;
  };

  Status measure_inputs(const std::vector<Running<InputScore>>& running, const MatrixShape& shape, const at::Tensor& sample,
                        std::vector<std::vector<std::optional<std::string>>>& payloads, size_t place, std::vector<double>& seconds) const {
    const ScoreContext alone{context_->hyper, context_->seed, 1};
    ASSAY_ASSIGN(const std::vector<float> values, model_.checkpoint->read_float(*model_.checkpoint->find(shape.tensor), 1));
    const MatrixView matrix{shape.tensor, shape.role, shape.rows, shape.columns, values, {}};
    for (size_t s = 0; s < running.size(); ++s) {
      if (payloads[s][place]) continue;
      const Stopwatch watch(seconds[s]);
      ASSAY_ASSIGN(const double value, running[s].score->value(matrix, sample, alone));
      ASSAY_ASSIGN(payloads[s][place], numbers_payload(std::span(&value, 1), running[s].score->info().name));
    }
    return {};
  }

  // Some rows of every block matrix's input, spread over the first windows.
  Result<std::map<std::string, at::Tensor>> sample_inputs() {
    constexpr int64_t kRows = 256;
    const Stopwatch watch(result_.forward_seconds);
    const auto batch = std::span(set_.windows).first(std::min(windows_per_batch(set_.windows[0].tokens.size()), set_.windows.size()));
    std::map<std::string, at::Tensor> samples;
    ASSAY_TRY(run_blocks(*model_.network, batch, [&](int layer, Site site, const at::Tensor& x) {
      const int64_t rows = std::min(kRows, x.size(0));
      const at::Tensor places = (at::arange(rows, at::kLong) * x.size(0)).floor_divide(rows).to(x.device());
      samples[model_.network->tensor_name(layer, site)] = x.index_select(0, places).to(at::kCPU, at::kFloat).contiguous();
    }));
    return samples;
  }

  // One gradient pass for all scores of gradients.
  Status gradients() {
    std::vector<std::shared_ptr<const GradientScore>> running;
    std::vector<size_t> places;
    for (size_t i = 0; i < scores_.size(); ++i)
      if (auto score = std::dynamic_pointer_cast<const GradientScore>(scores_[i])) {
        running.push_back(std::move(score));
        places.push_back(i);
      }
    if (running.empty()) return {};
    std::vector<CurvatureRequest> requests;
    std::string types;
    for (const LayerNumbers& layer : layers_)
      for (const MatrixShape& matrix : layer.matrices) {
        requests.push_back({matrix.tensor, usable_types(*model_.checkpoint->find(matrix.tensor), options_.types)});
        for (const GgmlType type : requests.back().types) types += find_type(type)->name + std::string(",");
        types += ";";
      }
    UnitKey key = store_->key("gradient scores");
    key.add("windows", fingerprint(set_.windows)).add("imatrix", given_imatrix_ ? fingerprint(*given_imatrix_) : "");
    key.add("types", sha256_hex(types));
    GradientScoreOptions how;
    how.pass.seed = settings_.seed;
    how.pass.memory = tile_memory(settings_);
    how.product_compute = settings_.compute;
    const auto units = store_->units(std::move(key));
    ASSAY_ASSIGN(GradientScoreRun made, run_gradient_scores(
                                            *model_.network, set_.windows, running, requests,
                                            [&](const std::string& tensor, GgmlType type) { return encoded_->requantized(tensor, type); },
                                            *context_, how, progress_, *units));
    result_.gradient_seconds += made.losses.forward_seconds + made.losses.backward_seconds[0] + made.losses.backward_seconds[1];
    for (size_t s = 0; s < running.size(); ++s) {
      ScoreTable& out = table(places[s]);
      out = std::move(made.tables[s]);
      out.forward_equivalents = kGradientPass * passes();
    }
    return {};
  }

  Status curvature() {
    for (const auto& one : of_kind<CurvatureScore>()) {
      DamageTable damage;
      damage.rows = table_rows(*model_.checkpoint, options_.types, Grouping::kTensor);
      CurvatureOptions wanted;
      wanted.token_fraction = options_.token_fraction;
      wanted.samples = options_.samples;
      ASSAY_ASSIGN(const CurvatureTable made,
                   predict_damage(model_, set_.windows, *encoded_, given_imatrix_, wanted, settings_, *store_, damage, progress_));
      ScoreTable& out = table(one.place);
      out.seconds = made.forward_seconds + made.product_seconds;
      out.forward_equivalents = kGradientPass * passes() * options_.samples;
      for (const DamageRow& row : damage.rows) {
        ScoreRow fresh{row.name, row.tensors, model_.checkpoint->find(row.name)->elements(), {}};
        for (const DamageCell& cell : row.cells) fresh.cells.push_back({cell.type, cell.damage, cell.standard_error});
        out.rows.push_back(std::move(fresh));
      }
    }
    return {};
  }

  const ScoreModelOptions& options_;
  const RunSettings& settings_;
  Progress& progress_;
  std::vector<std::shared_ptr<Score>> scores_;
  bool needs_text_ = false;
  OpenModel model_;
  ProbeSet set_;
  std::shared_ptr<const Imatrix> given_imatrix_, collected_;
  std::unique_ptr<UnitStore> store_;
  std::unique_ptr<ChangeSource> encoded_;  // each matrix once per type, for all scores
  std::vector<LayerNumbers> layers_;       // without numbers
  std::unique_ptr<ScoreContext> context_;
  ScoreModelResult result_;
};

}  // namespace

std::vector<ScoreInfo> score_infos() {
  std::vector<ScoreInfo> infos;
  for (const auto& score : all_scores()) infos.push_back(score->info());
  return infos;
}

Result<ScoreModelResult> score_model(const ScoreModelOptions& options, const RunSettings& settings, Progress& progress) {
  return ScoreModel(options, settings, progress).run();
}

}  // namespace assay
