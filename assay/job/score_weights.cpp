#include <algorithm>

#include "assay/base/parallel.h"
#include "assay/job/score_stages.h"
#include "assay/score/spectrum.h"

namespace assay {
namespace {

class WeightStage {
 public:
  explicit WeightStage(ScoreRun& run) : run_(run) {}

  // Layers side by side, each on one thread: a layer's numbers come from the same operations in the same order on any machine.
  Status weights() {
    const auto running = run_.of_kind<WeightScore>();
    if (running.empty()) return {};
    run_.progress.stage("weights", run_.layers.size());
    std::vector<std::unique_ptr<UnitCache>> units;
    for (const auto& one : running)
      units.push_back(run_.store->units(run_.store->key("weight score").add("score", one.score->numbers_name())));
    size_t different = 0;
    for (size_t s = 0; s < running.size(); ++s) different += first_like(running, s) == s;
    units[0]->plan(run_.layers.size() * different);
    std::vector<LayerWork> work(run_.layers.size());
    for (size_t l = 0; l < run_.layers.size(); ++l)
      for (size_t s = 0; s < running.size(); ++s) {
        std::optional<std::string> found;
        if (first_like(running, s) == s && !is_written(running, s)) {
          ASSAY_ASSIGN(found, units[s]->find(unit_of(run_.layers[l])));
        }
        work[l].payloads.push_back(std::move(found));
      }
    ASSAY_TRY(prepare(running, work));
    ASSAY_TRY(expect(running));
    const auto threads = static_cast<size_t>(run_.settings.threads > 0 ? run_.settings.threads : available_threads());
    for (size_t begin = 0; begin < run_.layers.size(); begin += threads) {
      ASSAY_TRY(run_.stop_if_asked());
      const size_t end = std::min(begin + threads, run_.layers.size());
      OneThread().parallel(end - begin, static_cast<int>(threads),
                           [&](size_t i) { work[begin + i].status = measure(running, run_.layers[begin + i], work[begin + i]); });
      for (size_t l = begin; l < end; ++l) {
        ASSAY_TRY(work[l].status);
        for (const auto& [score, seconds] : work[l].seconds) {
          run_.table(running[score].place).seconds += seconds;
          ASSAY_TRY(units[score]->keep(unit_of(run_.layers[l]), *work[l].payloads[score], seconds));
        }
        run_.result.decode_seconds += work[l].decode_seconds;
      }
      run_.progress.update(end);
    }
    for (size_t s = 0; s < running.size(); ++s) {
      std::vector<LayerNumbers> numbers = run_.layers;
      for (size_t l = 0; l < run_.layers.size(); ++l) {
        ASSAY_ASSIGN(numbers[l].numbers, numbers_from(*work[l].payloads[first_like(running, s)]));
      }
      run_.table(running[s].place).rows = running[s].score->finish(numbers, *run_.context);
    }
    return {};
  }

  // A layer's payloads, one per score that is the first with its numbers, and what making the missing ones took.
  struct LayerWork {
    std::vector<std::optional<std::string>> payloads;
    std::vector<std::pair<size_t, double>> seconds;  // of scores made now
    double decode_seconds = 0;
    Status status;
  };

  // Its terms go to files, so its numbers are made anew too.
  bool is_written(const std::vector<Running<WeightScore>>& running, size_t s) const {
    return run_.weights && run_.weights->wants(*running[s].score);
  }
  Status expect(const std::vector<Running<WeightScore>>& running) {
    for (size_t s = 0; s < running.size(); ++s)
      if (is_written(running, s))
        ASSAY_TRY(run_.weights->expect(*running[s].score, run_.weighted_matrices([](const auto&) { return true; })));
    return {};
  }
  Status write(const MatrixScore& score, const LayerView& layer, const ScoreContext& context) const {
    std::vector<float> terms;
    for (const MatrixView& matrix : layer.matrices) {
      terms.resize(matrix.values.size());
      score.weight_values(matrix, context, terms);
      ASSAY_TRY(run_.weights->take(score, std::nullopt, std::string(matrix.tensor), terms));
    }
    return {};
  }

  static std::string unit_of(const LayerNumbers& layer) { return "layer " + std::to_string(layer.layer); }

  // Scores that have work left see the matrices outside the blocks.
  Status prepare(const std::vector<Running<WeightScore>>& running, std::span<const LayerWork> work) {
    DecodedLayer outside = run_.decoded(run_.layers[0], run_.settings.threads, run_.result.decode_seconds);
    for (size_t s = 0; s < running.size(); ++s) {
      const auto& one = running[s];
      const bool done = std::all_of(work.begin(), work.end(), [s](const LayerWork& layer) { return layer.payloads[s].has_value(); });
      if (done || first_like(running, s) < s || !one.score->needs_outside()) continue;
      ASSAY_ASSIGN(const LayerView view, outside.view());
      const Stopwatch watch(run_.table(one.place).seconds);
      ASSAY_TRY(one.score->prepare(view, *run_.context));
    }
    return {};
  }

  // The first score with the same numbers.
  static size_t first_like(const std::vector<Running<WeightScore>>& running, size_t s) {
    size_t first = 0;
    while (running[first].score->numbers_name() != running[s].score->numbers_name()) ++first;
    return first;
  }

  Status measure(const std::vector<Running<WeightScore>>& running, const LayerNumbers& shape, LayerWork& work) const {
    const ScoreContext alone{run_.context->hyper, run_.context->seed, 1};
    DecodedLayer layer = run_.decoded(shape, 1, work.decode_seconds);
    for (size_t s = 0; s < running.size(); ++s) {
      if (work.payloads[s] || first_like(running, s) < s) continue;
      ASSAY_ASSIGN(const LayerView view, layer.view());
      double seconds = 0;
      {
        const Stopwatch watch(seconds);
        ASSAY_ASSIGN(const std::vector<double> made, running[s].score->numbers(view, alone));
        ASSAY_ASSIGN(work.payloads[s], numbers_payload(made, running[s].score->info().name));
        if (is_written(running, s)) ASSAY_TRY(write(dynamic_cast<const MatrixScore&>(*running[s].score), view, alone));
      }
      work.seconds.emplace_back(s, seconds);
    }
    return {};
  }

  ScoreRun& run_;
};

}  // namespace

Status score_weights(ScoreRun& run) { return WeightStage(run).weights(); }

}  // namespace assay
