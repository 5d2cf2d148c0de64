// The model, text and store of a PQI study, and what it measures on them: each stage is one unit of the store. Internal to job/.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "assay/job/inputs.h"
#include "assay/job/study_pqi.h"
#include "assay/job/unit_store.h"
#include "assay/score/path_gradients.h"
#include "assay/score/path_rule.h"
#include "assay/study/pqi_result.h"

namespace assay {

// d . g at one t, summed over all matrices that change.
struct PqiSlope {
  double t = 0, total = 0;
  std::vector<double> windows;  // of each window's own loss
};
// Everything quantized: the integral, element by element.
struct PqiIntegral {
  std::vector<PqiMatrix> matrices;
  std::vector<double> fishers;   // of each matrix: 1/2 sum F_ii d_i^2 at w
  std::vector<PqiSlope> slopes;  // at the rule's nodes, and at 0
  std::vector<PqiCoverage> coverage;
  std::vector<PqiAgreement> agreements;
  uint64_t sampled = 0;
};
// First and second order along a step, and what the step costs; by window too.
struct PqiStepOrders {
  double second_error = 0, loss_before = 0, loss_after = 0;
  uint64_t elements = 0;
  std::vector<double> first, second, change;
};
class PqiRunner {
 public:
  static Result<std::unique_ptr<PqiRunner>> open(const std::string& model, const TextInput& text, const RunSettings& settings,
                                                 Progress& progress);

  int layers() const { return model_.network->hyper().layers; }
  const ProbeSet& set() const { return set_; }
  std::vector<uint32_t> documents() const;
  UnitStore& store() { return *store_; }

  // What follows is of this type and these blocks' matrices; those that cannot take the type stay as they are and are named in `notes`.
  Status quantize(GgmlType type, const std::vector<int>& layers, std::vector<std::string>& notes);
  std::vector<PathMatrix> matrices() const;  // those that change, file order

  Result<PqiIntegral> integral(PathRule rule, int intervals, uint64_t seed);
  Result<PqiSlope> slope(double t);
  Result<std::vector<double>> losses(double t);  // by window
  Result<PqiStepOrders> orders(int layer);       // that block alone; -1: all
  Result<PqiCost> cost(size_t windows);

 private:
  PqiRunner() = default;
  QuantizationPath path(int layer = -1) const;
  Result<std::string> make_integral(PathRule rule, int intervals, uint64_t seed);
  Result<std::string> make_orders(int layer);
  Result<std::string> unit(const std::string& name, const std::function<Result<std::string>()>& work);

  OpenModel model_;
  ProbeSet set_;
  RunSettings settings_;
  std::unique_ptr<UnitStore> store_;
  std::unique_ptr<UnitCache> units_;
  std::shared_ptr<const StoredMatrices> far_;
  std::optional<PathGradients> start_;  // of all of far_ at w: the same for every layer
  Progress* progress_ = nullptr;
};

}  // namespace assay
