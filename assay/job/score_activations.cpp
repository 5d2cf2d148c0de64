#include <algorithm>

#include "assay/job/score_stages.h"
#include "assay/probe/input_squares.h"
#include "assay/score/activation_score.h"
#include "assay/score/importance_score.h"

namespace assay {
namespace {

class ActivationStage {
 public:
  explicit ActivationStage(ScoreRun& run) : run_(run) {}

  // One forward pass: the streams for activation scores, squares of inputs for importance.
  Status activations() {
    const auto on_streams = run_.of_kind<ActivationScore>();
    const auto on_importance = run_.of_kind<ImportanceScore>();
    const auto on_changes = run_.of_kind<ChangeScore>();
    const bool weighted = !run_.given_imatrix &&
                          std::any_of(on_changes.begin(), on_changes.end(), [](const auto& one) { return one.score->needs_importance(); });
    if (on_streams.empty() && on_importance.empty() && !weighted) return {};
    const size_t step = windows_per_batch(run_.set.windows[0].tokens.size()), count = run_.set.windows.size();
    run_.progress.stage("activations", count);
    std::string names;
    for (const auto& one : on_streams) names += std::string(one.score->info().name) + ",";
    UnitKey key = run_.store->key("activations");
    key.add("scores", names).add("windows", fingerprint(run_.set.windows));
    const auto units = run_.store->units(std::move(key));
    units->plan((count + step - 1) / step);
    InputTotals squares;
    std::vector<std::vector<double>> sums(on_streams.size());
    for (size_t begin = 0; begin < count; begin += step) {
      const auto batch = std::span(run_.set.windows).subspan(begin, std::min(step, count - begin));
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
      run_.progress.update(begin + batch.size());
    }
    run_.collected = std::make_shared<const Imatrix>(squares.imatrix(count, run_.set.windows[0].tokens.size()));
    for (size_t i = 0; i < on_streams.size(); ++i) {
      run_.table(on_streams[i].place).rows = on_streams[i].score->finish(sums[i], run_.blocks(), *run_.context);
      run_.table(on_streams[i].place).forward_equivalents = run_.passes();
    }
    for (const auto& one : on_importance) {
      run_.table(one.place).rows = one.score->rows(*run_.collected, run_.layers);
      run_.table(one.place).forward_equivalents = run_.passes();
    }
    return {};
  }

  Result<std::string> run_batch(std::span<const Window> batch, const std::vector<Running<ActivationScore>>& scores) {
    const auto count = static_cast<int64_t>(batch.size());
    InputSquares squares;
    ActivationBatch seen{*run_.model.network, {}, count, static_cast<int64_t>(batch[0].tokens.size())};
    {
      const Stopwatch watch(run_.result.forward_seconds);
      const auto stream = [&](int, const at::Tensor& h) { seen.streams.push_back(h.to(at::kCPU)); };
      ASSAY_TRY(run_blocks(
          *run_.model.network, batch,
          [&](int layer, Site site, const at::Tensor& x) { squares.add(run_.model.network->tensor_name(layer, site), x, count); },
          scores.empty() ? StreamObserver() : stream));
    }
    PayloadWriter writer;
    squares.write(writer);
    for (const auto& one : scores) {
      const Stopwatch watch(run_.table(one.place).seconds);
      ASSAY_ASSIGN(const std::vector<double> numbers, one.score->numbers(seen, *run_.context));
      writer.add(std::span<const double>(numbers), one.score->info().name);
    }
    return std::move(writer).finish();
  }

  ScoreRun& run_;
};

}  // namespace

Status score_activations(ScoreRun& run) { return ActivationStage(run).activations(); }

}  // namespace assay
