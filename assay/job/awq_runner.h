// The model, texts and store of work on AWQ: searches, and changed models against the unquantized one, each piece kept as units.
// Internal to job/.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "assay/awq/awq_search.h"
#include "assay/job/compare_models.h"
#include "assay/job/inputs.h"
#include "assay/job/unit_store.h"
#include "assay/model/edited_checkpoint.h"

namespace assay {

// A rounder and what it depends on, for keys.
struct NamedRounder {
  WeightRounder round;
  std::string name;
};
NamedRounder named_grid(const GroupGrid& grid, int threads);
// imatrix: may be null; must outlive the rounder.
NamedRounder named_types(const std::map<std::string, GgmlType>& types, const Imatrix* imatrix, int threads);

// Hash of a result: equal ones make equal models.
std::string digest(const AwqResult& result);

class AwqRunner {
 public:
  // evaluation: its path empty: none.
  static Result<std::unique_ptr<AwqRunner>> open(const std::string& model, const TextInput& calibration, const TextInput& evaluation,
                                                 const RunSettings& settings, Progress& progress);

  const OpenModel& model() const { return model_; }
  const Hyper& hyper() const { return model_.network->hyper(); }
  const ProbeSet& calibration() const { return calibration_; }
  const ProbeSet& evaluation() const { return evaluation_; }
  const RunSettings& settings() const { return settings_; }
  UnitStore& store() { return *store_; }
  // The matrices of the blocks, file order.
  std::vector<std::string> matrices() const;

  // groups: fold_groups() or single_groups(). weights: other weights than the model's own, named `weights_name`; null: its own.
  Result<AwqResult> search(const std::vector<FoldGroup>& groups, const AwqOptions& options, const NamedRounder& rounder,
                           const Checkpoint* weights = nullptr, const std::string& weights_name = {});
  std::vector<FoldGroup> groups() const;

  using CheckpointSource = std::function<Result<std::shared_ptr<const Checkpoint>>()>;
  // The evaluation windows; `name`: everything the changed model depends on beside ours.
  Result<Observation> compare(const std::string& name, const CheckpointSource& changed);
  Result<Observation> compare(const std::string& name, const TensorEdits& edits);
  // The importance matrix of the calibration text.
  Result<Imatrix> imatrix();

 private:
  AwqRunner() = default;

  OpenModel model_;
  ProbeSet calibration_, evaluation_;
  RunSettings settings_;
  std::unique_ptr<UnitStore> store_;
  std::unique_ptr<BaseRun> base_;
  Progress* progress_ = nullptr;
};

}  // namespace assay
