// RAMP's proxy loss (methods.md 5.1): sum over decision groups of role x depth x size x sensitivity x error at the type. Weights are made
// once; whole evaluations are sums over a table, incremental ones two entries of it.
//   role    of the group's first tensor (name_scores.h)     depth   1 to 1.5, 1.5 outside the blocks
//   size    ln(1 + elements / mean elements of a group)     error   relative Frobenius error, or its square
// With `kurtosis` errors grow by 1 + 0.1 max(0, NV - 0.5), NV the group's numerical vulnerability in [0, 1].
// What it is not: a prediction of KL or perplexity. calibration.h fits it to measured ones and says how well that works.
// Torch-free. Non-goals: sensitivities (score/nsds_ramp.h), bytes (recipe_size.h), solving (solver.h).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "assay/base/result.h"
#include "assay/plan/damage_table.h"
#include "assay/plan/decision_groups.h"

namespace assay {

// RAMP's table of relative errors; 0.1 for a type that it lacks. Several are below what any code of so many bits can reach, and all below
// what ggml's encoders do (methods.md 8.3): measured ones are better.
double approximate_error(GgmlType type);

// Of one group; what is not given is as RAMP has it for a group it did not analyse.
struct ProxyFacts {
  double sensitivity = 0.5;                // NSDS
  double vulnerability = 0.5;              // NV in [0, 1]
  std::map<GgmlType, double> errors = {};  // measured relative Frobenius errors; a type not in it: approximate_error
};

struct ProxyOptions {
  bool kurtosis = false;
  bool squared = false;  // errors squared, as a second-order loss would have them
};

struct ProxyWeight {
  double role = 1, depth = 1, size = 1, sensitivity = 0.5;
  double product() const { return role * depth * size * sensitivity; }
};

// One group's part of a loss.
struct ProxyContribution {
  size_t group = 0;
  GgmlType type = GgmlType::kF32;
  double weight = 0, error = 0, loss = 0;
};

class ProxyLoss {
 public:
  // `facts` by group name. Errors: kUsage (no types), kMismatch (facts of a group that the model lacks: named), kBadInput (a fact that is
  // negative or not finite).
  static Result<ProxyLoss> make(const ModelStructure& structure, std::span<const GgmlType> types,
                                const std::map<std::string, ProxyFacts>& facts, const ProxyOptions& options = {});

  size_t groups() const { return weights_.size(); }
  std::span<const GgmlType> types() const { return types_; }
  const ProxyWeight& weight(size_t group) const { return weights_[group]; }
  double at(size_t group, size_t type) const { return table_[group * types_.size() + type]; }

  // choice: a place in types() for every group.
  double loss(std::span<const uint8_t> choice) const;
  // Of one group's step.
  double change(size_t group, uint8_t from, uint8_t to) const { return at(group, to) - at(group, from); }
  // The largest parts of a loss, largest first.
  std::vector<ProxyContribution> contributions(std::span<const uint8_t> choice, size_t most = 25) const;

  // As `plan` takes it: a row per group that has matrices, in the proxy's own unit.
  DamageTable table(const ModelStructure& structure) const;

 private:
  std::vector<GgmlType> types_;
  std::vector<ProxyWeight> weights_;
  std::vector<double> errors_, table_;  // [groups][types]
};

}  // namespace assay
