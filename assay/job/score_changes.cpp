#include <algorithm>

#include "assay/job/score_stages.h"
#include "assay/plan/presets.h"

namespace assay {
namespace {

class ChangeStage {
 public:
  explicit ChangeStage(ScoreRun& run) : run_(run) {}

  // Each matrix is encoded once per type for all scores that look at the change.
  Status changes() {
    const auto running = run_.of_kind<ChangeScore>();
    if (running.empty()) return {};
    size_t matrices = 0;
    for (const LayerNumbers& layer : run_.layers) matrices += layer.matrices.size();
    run_.progress.stage("types", matrices);
    const std::shared_ptr<const Imatrix> importance = run_.imatrix();
    std::vector<std::unique_ptr<UnitCache>> units;
    for (const auto& one : running) {
      UnitKey key = run_.store->key("change score");
      key.add("score", one.score->info().name)
          .add("types", names_of(run_.options.types))
          .add("imatrix", run_.given_imatrix ? fingerprint(*run_.given_imatrix) : "");
      if (one.score->needs_importance()) key.add("importance", fingerprint(*importance));
      units.push_back(run_.store->units(std::move(key)));
    }
    units[0]->plan(matrices * running.size());
    for (const auto& one : running) ASSAY_TRY(expect(*one.score));
    size_t done = 0;
    for (const LayerNumbers& layer : run_.layers) {
      DecodedLayer weights = run_.decoded(layer, run_.settings.threads, run_.result.decode_seconds);
      for (size_t m = 0; m < layer.matrices.size(); ++m) {
        ASSAY_TRY(run_.stop_if_asked());
        ASSAY_TRY(change_rows(running, units, weights, layer.matrices[m], m));
        run_.progress.update(++done);
      }
    }
    return {};
  }

  bool has_value(const ChangeScore& score, const std::string& tensor) const {
    return !score.needs_entry() || run_.imatrix()->entries.contains(tensor);
  }
  bool is_written(const ChangeScore& score) const { return run_.weights && run_.weights->wants(score); }
  Status expect(const ChangeScore& score) {
    if (!is_written(score)) return {};
    return run_.weights->expect(score, run_.weighted_matrices([&](const std::string& tensor) { return has_value(score, tensor); }));
  }

  Status change_rows(const std::vector<Running<ChangeScore>>& running, const std::vector<std::unique_ptr<UnitCache>>& units,
                     DecodedLayer& weights, const MatrixShape& shape, size_t place) {
    const std::vector<GgmlType> types = run_.types_of(shape.tensor);
    std::vector<at::Tensor> made(types.size());
    std::vector<float> terms;
    for (size_t s = 0; s < running.size(); ++s) {
      const ChangeScore& score = *running[s].score;
      const auto work = [&]() -> Result<std::string> {
        ASSAY_ASSIGN(const LayerView view, weights.view());
        const MatrixView& matrix = view.matrices[place];
        std::vector<double> values;
        for (size_t t = 0; t < types.size(); ++t) {
          if (!made[t].defined()) {
            ASSAY_ASSIGN(made[t], run_.encoded->requantized(shape.tensor, types[t]));
          }
          const Stopwatch watch(run_.table(running[s].place).seconds);
          const std::span<const float> change(made[t].const_data_ptr<float>(), matrix.values.size());
          ASSAY_ASSIGN(const double value, score.value(matrix, types[t], change, *run_.context));
          values.push_back(value);
          if (!is_written(score)) continue;
          terms.resize(change.size());
          score.weight_values(matrix, change, *run_.context, terms);
          ASSAY_TRY(run_.weights->take(score, types[t], shape.tensor, terms));
        }
        return numbers_payload(values, score.info().name);
      };
      // A matrix outside the blocks may have no importance: it has no value then.
      ScoreTable& table_of = run_.table(running[s].place);
      if (!has_value(score, shape.tensor)) continue;
      if (score.needs_importance()) table_of.forward_equivalents = run_.passes();
      ASSAY_ASSIGN(const std::string payload,
                   is_written(score) ? make_anew(*units[s], shape.tensor, work) : find_or_make(*units[s], shape.tensor, work));
      ASSAY_ASSIGN(const std::vector<double> values, numbers_from(payload));
      if (values.size() != types.size()) return fail(ErrorCode::kBadInput, "store: a finished unit has another number of types");
      ScoreRow row{shape.tensor, {shape.tensor}, shape.elements(), {}};
      for (size_t t = 0; t < types.size(); ++t) row.cells.push_back({types[t], values[t], 0});
      table_of.rows.push_back(std::move(row));
    }
    return {};
  }

  ScoreRun& run_;
};

}  // namespace

Status score_changes(ScoreRun& run) { return ChangeStage(run).changes(); }

}  // namespace assay
