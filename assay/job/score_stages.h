// The stages of `assay score` (score_model.h) and what they share: the open model, its matrices by block, what is decoded, encoded and
// kept. A stage runs the scores of its kind and fills their tables. Internal to job/.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "assay/base/payload.h"
#include "assay/base/stopwatch.h"
#include "assay/job/inputs.h"
#include "assay/job/score_model.h"
#include "assay/job/unit_store.h"
#include "assay/job/weight_files.h"
#include "assay/probe/changes.h"
#include "assay/score/score_run.h"

namespace assay {

template <class Kind>
struct Running {
  Kind* score;
  size_t place;  // among all scores
};

// A layer's matrices, decoded when first asked for and dropped with this.
class DecodedLayer {
 public:
  // All outlive it. `imatrix` may be null.
  DecodedLayer(const Checkpoint& checkpoint, const LayerNumbers& shape, const Imatrix* imatrix, int threads, double& seconds)
      : checkpoint_(checkpoint), shape_(shape), imatrix_(imatrix), threads_(threads), seconds_(seconds) {}
  Result<LayerView> view();

 private:
  Status decode();

  const Checkpoint& checkpoint_;
  const LayerNumbers& shape_;
  const Imatrix* imatrix_;
  int threads_;
  double& seconds_;
  std::vector<std::vector<float>> values_, importance_, mean_inputs_;
  std::vector<MatrixView> views_;
};

struct ScoreRun {
  ScoreRun(const ScoreModelOptions& run_options, const RunSettings& run_settings, Progress& run_progress)
      : options(run_options), settings(run_settings), progress(run_progress) {}

  template <class Kind>
  std::vector<Running<Kind>> of_kind() const {
    std::vector<Running<Kind>> found;
    for (size_t i = 0; i < scores.size(); ++i)
      if (auto* const score = dynamic_cast<Kind*>(scores[i].get())) found.push_back({score, i});
    return found;
  }
  ScoreTable& table(size_t place) { return result.scores[place].table; }
  std::span<const LayerNumbers> blocks() const { return std::span(layers).subspan(1); }
  double passes() const { return static_cast<double>(set.windows.size()); }
  // The importance matrix in use; null: none.
  const std::shared_ptr<const Imatrix>& imatrix() const { return given_imatrix ? given_imatrix : collected; }
  DecodedLayer decoded(const LayerNumbers& layer, int threads, double& seconds) const {
    return {*model.checkpoint, layer, imatrix().get(), threads, seconds};
  }
  std::vector<GgmlType> types_of(const std::string& tensor) const;  // target types that it can take
  // Of the matrices that `has_value` is true of, as who takes values of single weights is told.
  std::vector<WeightedMatrix> weighted_matrices(const std::function<bool(const std::string& tensor)>& has_value) const;
  // Whether `estimate` forwards of a window, of what `who` does, are left in the budget: takes them from it, tells the user; or leaves a
  // note in the table.
  bool spend(double estimate, size_t place);
  Status stop_if_asked() const {
    if (progress.interrupted()) return fail(ErrorCode::kInterrupted, "score: interrupted");
    return {};
  }

  const ScoreModelOptions& options;
  const RunSettings& settings;
  Progress& progress;
  std::vector<std::shared_ptr<Score>> scores;
  OpenModel model;
  ProbeSet set;  // no windows: no score needs a text
  std::shared_ptr<const Imatrix> given_imatrix, collected;
  std::unique_ptr<UnitStore> store;
  std::unique_ptr<ChangeSource> encoded;  // each matrix once per type, for all scores
  std::vector<LayerNumbers> layers;       // without numbers; -1 first
  std::unique_ptr<ScoreContext> context;
  double budget = 0;                     // left, in forwards of a window
  std::unique_ptr<WeightFiles> weights;  // null: values of single weights are not wanted
  ScoreModelResult result;
};

// In this order: a stage may use what an earlier one collected.
Status score_activations(ScoreRun& run);  // one forward pass: the streams, and the importance matrix
Status score_weights(ScoreRun& run);      // layer by layer
Status score_changes(ScoreRun& run);      // each matrix encoded once per type
Status score_inputs(ScoreRun& run);       // each matrix with some rows of its inputs
Status score_gradients(ScoreRun& run);    // one gradient pass, and the curvature table
Status score_passes(ScoreRun& run);       // passes of a score's own, within the budget
Status score_variants(ScoreRun& run);     // changed models, measured by one sweep, within the budget

// The numbers of a unit.
Result<std::string> numbers_payload(std::span<const double> numbers, std::string_view what);
Result<std::vector<double>> numbers_from(const std::string& payload);
// Names of types, each followed by a comma: part of a key.
std::string names_of(std::span<const GgmlType> types);

}  // namespace assay
