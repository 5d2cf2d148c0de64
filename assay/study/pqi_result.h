// What the PQI study measured, and as JSON. Losses and their changes are in nats per token; intervals are at 95 % over windows, absent with
// too few of them. Tables are numbered as in the source (methods.md 6.4). Torch-free.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "assay/study/conclusion.h"
#include "assay/study/estimate.h"

namespace assay {

// Table 1: a layer quantized alone, or all of them.
struct PqiOrders {
  std::string name;  // "blk.3", "all"
  uint64_t elements = 0;
  Estimate first, second;   // d . g at w; 1/2 d H d
  double second_error = 0;  // numerical, of `second`
  double fisher = 0;        // 1/2 sum F_ii d_i^2, F the empirical Fisher diagonal: the approximate second order
  Estimate change;          // F(w + d) - F(w)
  Estimate share;           // (first + second) / change
  double contribution = 0;  // of its weights to the integral with everything quantized
};
// Table 2: a part of the step.
struct PqiStep {
  double lambda = 0;
  Estimate change;
  double first = 0, second = 0;  // of the part
  Estimate curvature;            // (change - first) / lambda^2
};
// Table 3.
struct PqiClosure {
  std::string rule;
  int intervals = 0;
  size_t points = 0;          // gradients the rule needs
  Estimate predicted, error;  // error: predicted less measured
};
// Table 4: sums over a matrix; divided by `elements` they are the averages.
struct PqiMatrix {
  std::string name, role;
  int layer = 0;
  uint64_t elements = 0;
  double contribution = 0, abs_total = 0, abs_per_step = 0, abs_per_sequence = 0;
};
// Table 5: the part `top` of the weights with the largest |c| holds the share of the total.
struct PqiCoverage {
  double top = 0, share = 0;
};
// Two measures of the same weights, on the sample of weights.
struct PqiAgreement {
  std::string measure, with;  // "|g| at w", "|g| at w~"
  std::optional<double> spearman;
  std::vector<std::pair<double, double>> overlaps;  // part of the weights, share of the top part that both have
};

struct PqiOfType {
  std::string type;
  uint64_t elements = 0, sampled = 0;  // weights that may change; of those, compared in `agreements`
  double loss_before = 0, loss_after = 0;
  PqiOrders all;
  std::vector<PqiOrders> layers;
  std::vector<PqiStep> steps;
  std::vector<PqiClosure> closure;
  std::vector<PqiMatrix> matrices;
  std::vector<PqiCoverage> coverage;
  std::vector<PqiAgreement> agreements;
};

struct PqiStudyResult : StudyConclusion {
  uint64_t tokens_scored = 0, windows = 0, documents = 0;
  std::string interval;  // how intervals were made
  std::string rule;      // of the integral
  int intervals = 0;
  std::vector<PqiOfType> types;
};

nlohmann::ordered_json to_json(const PqiStudyResult& result);

}  // namespace assay
