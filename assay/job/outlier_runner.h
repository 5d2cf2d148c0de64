// The model, prompts and store of an outlier study, the weights it looks at, and changed models measured on all prompts. Internal to job/.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "assay/job/inputs.h"
#include "assay/job/measure_variants.h"
#include "assay/job/study_outliers.h"
#include "assay/job/unit_store.h"
#include "assay/probe/changes.h"
#include "assay/probe/resolve_variant.h"
#include "assay/score/top_weights.h"
#include "assay/study/outlier_analysis.h"
#include "assay/study/outlier_selection.h"
#include "assay/text/prompts.h"

namespace assay {

// A changed model on all prompts.
struct MeasuredVariant {
  std::vector<WindowSums> sums;
  std::vector<float> kl;
  PromptObservation view() const { return {sums, kl}; }
};

class OutlierRunner {
 public:
  static Result<std::unique_ptr<OutlierRunner>> open(const StudyOutliersOptions& options, const RunSettings& settings, Progress& progress);

  const OpenModel& model() const { return model_; }
  const OutlierConfig& config() const { return config_; }
  const RunSettings& settings() const { return settings_; }
  const PromptWindows& prompts() const { return prompts_; }
  const ChangeSource& changes() const { return *changes_; }
  UnitStore& store() { return *store_; }
  Progress& progress() const { return *progress_; }
  double noise_floor() const { return noise_floor_; }
  int layers() const { return model_.network->hyper().layers; }
  // What decides which units are the same, beside the model: prompts.
  UnitKey key(std::string_view kind) const;
  Result<std::string> unit(const UnitKey& key, const std::string& name, const std::function<Result<std::string>()>& work);

  // Matrices that a run can change: those of the chosen blocks, file order, then an output matrix of its own if all blocks are chosen.
  const std::vector<std::string>& matrices() const { return matrices_; }
  // Numbers of those in blocks: the first so many.
  size_t block_matrices() const { return block_matrices_; }
  // The robust list over the first `matrices`, exact; one unit.
  Result<std::vector<RankedWeight>> robust(uint64_t k, size_t matrices);

  // Super weights, then the robust list's weights up to `walk`; with the facts of each.
  Result<std::vector<OutlierRow>> candidates(OutlierResult& result);
  // Controls of the rows `targets`, put at the end of `rows` one target after another.
  Status add_controls(std::vector<OutlierRow>& rows, const std::vector<size_t>& targets);

  Result<std::vector<MeasuredVariant>> measure(std::span<const Variant> variants);
  Result<ResolvedVariant> resolve(const Variant& variant) { return resolver_->resolve(variant); }
  MeasureOptions measure_options() const;
  // Tokens times variants that a second takes, for the plan.
  Result<double> speed(std::span<const OutlierRow> rows);

 private:
  OutlierRunner() = default;
  Status add_super_weights(std::vector<OutlierRow>& rows, OutlierResult& result);
  Status fill(std::vector<OutlierRow>& rows, std::span<const size_t> some);

  OpenModel model_;
  OutlierConfig config_;
  RunSettings settings_;
  PromptWindows prompts_;
  std::shared_ptr<const Imatrix> imatrix_;
  std::unique_ptr<UnitStore> store_;
  std::unique_ptr<ChangeSource> changes_;
  std::unique_ptr<VariantResolver> resolver_;
  std::vector<std::string> matrices_;
  size_t block_matrices_ = 0;
  double noise_floor_ = 0;
  Progress* progress_ = nullptr;
};

}  // namespace assay
