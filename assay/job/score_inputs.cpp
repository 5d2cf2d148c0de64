#include <algorithm>
#include <map>

#include "assay/base/parallel.h"
#include "assay/job/score_stages.h"
#include "assay/score/input_score.h"
#include "assay/score/spectrum.h"

namespace assay {
namespace {

class InputStage {
 public:
  explicit InputStage(ScoreRun& run) : run_(run) {}

  // Scores of a matrix and some rows of its inputs: matrices side by side, each on one thread.
  Status inputs() {
    const auto running = run_.of_kind<InputScore>();
    if (running.empty()) return {};
    std::vector<const MatrixShape*> matrices;
    for (const LayerNumbers& layer : run_.blocks())
      for (const MatrixShape& matrix : layer.matrices) matrices.push_back(&matrix);
    run_.progress.stage("inputs", matrices.size());
    std::vector<std::unique_ptr<UnitCache>> units;
    std::vector<std::vector<std::optional<std::string>>> payloads(running.size());
    bool missing = false;
    for (size_t s = 0; s < running.size(); ++s) {
      UnitKey key = run_.store->key("input score");
      key.add("score", running[s].score->info().name).add("windows", fingerprint(run_.set.windows));
      units.push_back(run_.store->units(std::move(key)));
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
    const auto threads = static_cast<size_t>(run_.settings.threads > 0 ? run_.settings.threads : available_threads());
    for (size_t begin = 0; begin < matrices.size(); begin += threads) {
      ASSAY_TRY(run_.stop_if_asked());
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
            run_.table(running[s].place).seconds += work[i].seconds[s];
            ASSAY_TRY(units[s]->keep(matrices[begin + i]->tensor, *payloads[s][begin + i], work[i].seconds[s]));
          }
          if (!payloads[s][begin + i]) continue;
          ASSAY_ASSIGN(const std::vector<double> value, numbers_from(*payloads[s][begin + i]));
          run_.table(running[s].place).rows.push_back(matrix_row(*matrices[begin + i], value.empty() ? 0 : value[0]));
        }
      }
      run_.progress.update(end);
    }
    for (const auto& one : running) run_.table(one.place).forward_equivalents = std::min(1.0, run_.passes());
    return {};
  }
  struct InputWork {
    std::vector<double> seconds;  // of each score made now; 0: found
    Status status;
  };

  Status measure_inputs(const std::vector<Running<InputScore>>& running, const MatrixShape& shape, const at::Tensor& sample,
                        std::vector<std::vector<std::optional<std::string>>>& payloads, size_t place, std::vector<double>& seconds) const {
    const ScoreContext alone{run_.context->hyper, run_.context->seed, 1};
    ASSAY_ASSIGN(const std::vector<float> values, run_.model.checkpoint->read_float(*run_.model.checkpoint->find(shape.tensor), 1));
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
    const Stopwatch watch(run_.result.forward_seconds);
    const auto batch =
        std::span(run_.set.windows).first(std::min(windows_per_batch(run_.set.windows[0].tokens.size()), run_.set.windows.size()));
    std::map<std::string, at::Tensor> samples;
    ASSAY_TRY(run_blocks(*run_.model.network, batch, [&](int layer, Site site, const at::Tensor& x) {
      const int64_t rows = std::min(kRows, x.size(0));
      const at::Tensor places = (at::arange(rows, at::kLong) * x.size(0)).floor_divide(rows).to(x.device());
      samples[run_.model.network->tensor_name(layer, site)] = x.index_select(0, places).to(at::kCPU, at::kFloat).contiguous();
    }));
    return samples;
  }

  ScoreRun& run_;
};

}  // namespace

Status score_inputs(ScoreRun& run) { return InputStage(run).inputs(); }

}  // namespace assay
