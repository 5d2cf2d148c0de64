// Runs the variants of a file on a text (`assay probe`): damage of each with its interval, joint interactions, cost. Torch-free header.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "assay/base/progress.h"
#include "assay/base/result.h"
#include "assay/job/settings.h"
#include "assay/probe/layer_list.h"
#include "assay/probe/sequential.h"
#include "assay/probe/statistics.h"
#include "assay/probe/variant_families.h"

namespace assay {

struct ProbeOptions {
  std::string model;
  std::string variants;  // file (probe/variant_io.h)
  TextInput text;
  std::string imatrix;              // file; empty: encode without importance
  std::vector<LayerRange> layers;   // for every family that names none; empty: all
  std::optional<uint64_t> samples;  // for every sampling family, in place of its own
  std::optional<StopRule> until;    // measure each variant on as many windows as settle it; empty: on all
  std::string against;              // a variant's name: each is compared with it, window by window; empty: none
};

struct ProbedVariant {
  std::string name, hash;
  Interval kl, nll_difference, flip_rate;  // nats per token, share of tokens
  double ppl_ratio = 1;                    // e^nll_difference
  uint64_t non_finite = 0;                 // positions without finite logits; they count as a uniform prediction
  bool below_floor = false;
  double forward_equivalents = 0;  // on one window
  uint64_t windows = 0;            // measured
  uint64_t place = 0;              // among the variants by mean KL, 1 the greatest
  Interval change;                 // mean KL / that of ProbeOptions::against - 1, windows paired, clustered by document
};

struct ProbedGroup {
  VariantGroup::Kind kind = VariantGroup::Kind::kJoint;
  std::vector<size_t> members;
  Interval value;  // kJoint: I(S) = A(S) - sum A({c}); kTwoSided: mean of |nll difference| over both
};

struct ProbeResult {
  std::vector<ProbedVariant> variants;
  std::vector<ProbedGroup> groups;
  std::vector<std::string> notes, files;  // files: what the variants name
  double noise_floor = 0;
  double base_nll = 0;
  uint64_t tokens_scored = 0, windows = 0, documents = 0;
  std::string interval_unit;
  double forward_equivalents = 0, seconds = 0;  // of what was measured
  double all_forward_equivalents = 0;           // had every variant been measured on every window
  UnitCounts units;
};

Result<ProbeResult> probe_variants(const ProbeOptions& options, const RunSettings& settings, Progress& progress);

}  // namespace assay
