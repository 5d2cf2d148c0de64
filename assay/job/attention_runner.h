// Model, windows and store of a study of crystallised attention, and what it measures on them. Every piece is kept as a unit.
// Internal to job/.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "assay/job/inputs.h"
#include "assay/job/measure_variants.h"
#include "assay/job/study_attention.h"
#include "assay/probe/attention_basis.h"
#include "assay/probe/attention_sums.h"

namespace assay {

class AttentionRunner {
 public:
  // Errors: a text too short for evaluated and basis windows.
  static Result<std::unique_ptr<AttentionRunner>> open(const StudyAttentionOptions& options, const RunSettings& settings,
                                                       Progress& progress);

  const Hyper& hyper() const { return model_.network->hyper(); }
  const std::vector<Window>& windows() const { return evaluated_; }
  const std::vector<Window>& basis_windows() const { return basis_; }
  BasisSource basis_source() const { return source_; }
  UnitStore& store() { return *store_; }
  Result<double> noise_floor();

  // Moments of `layers` on the basis windows; diagnostics of all layers, and these moments, on the first evaluated windows.
  Status collect(const std::vector<int>& layers);
  const AttentionSums& fitted() const { return fitted_; }
  const AttentionSums& seen() const { return seen_; }

  // Seconds of one forward of a window, with the head.
  Result<double> forward_seconds() const;
  double forward_equivalents(const AttentionMode& mode) const;  // of one window
  // Of each mode the evaluated windows, in order; modes that change the same are measured once.
  Result<ObservedVariants> measure(const std::vector<AttentionMode>& modes);
  // The rows [head_dim, head_dim] that a low-rank mode projects on.
  std::shared_ptr<const std::vector<float>> basis(BasisKind kind, int draw, int layer, int head);

 private:
  AttentionRunner() = default;
  Result<AttentionSums> collect(const std::vector<Window>& windows, const std::vector<int>& layers, bool diagnostics, const char* stage);
  std::string change_of(const AttentionMode& mode) const;  // equal texts, equal changes
  ResolvedVariant resolved(const AttentionMode& mode);

  OpenModel model_;
  std::vector<Window> evaluated_, basis_;
  BasisSource source_ = BasisSource::kDisjoint;
  AttentionConfig config_;
  RunSettings settings_;
  std::unique_ptr<UnitStore> store_;
  Progress* progress_ = nullptr;
  AttentionSums fitted_, seen_;
  std::map<std::string, std::shared_ptr<const std::vector<float>>> bases_;
  std::map<std::string, std::shared_ptr<const AttentionRules>> rules_;
};

}  // namespace assay
