// The main job: measure which tensors can afford fewer bits, solve for the best mix of types, write the GGUF, measure it on held-out
// text against the best stock preset that fits the same budget, and keep whichever is better.
// Torch-free header.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "assay/base/progress.h"
#include "assay/base/result.h"
#include "assay/codes/codes.h"
#include "assay/job/refine_report.h"
#include "assay/job/settings.h"
#include "assay/plan/allocate.h"
#include "assay/plan/budget.h"
#include "assay/plan/refine_budget.h"
#include "assay/probe/statistics.h"

namespace assay {

struct OptimizeOptions {
  std::string model;
  std::string calibration;  // text for the imatrix and the curvature table
  std::string evaluation;   // held-out text
  WindowOptions windows;    // of both texts
  // Texts of other domains on which the file may not be worse than the preset beyond `guard_margin`: the upper end of the interval of its
  // change of mean KL. Else the next best recipe that passes is written, if the plan was refined, else the preset.
  std::vector<std::string> guards;
  double guard_margin = 0.02;
  std::string output;  // the GGUF to write
  BudgetRequest budget;
  AllocateConstraints constraints;  // its solver may also be kEvoPress
  RefineBudget refine;              // measure where the plan is not settled; nothing: plan by the curvature table alone
  std::string refine_text;          // as it was given
  double refine_regret = 0.01;      // stop where the plan's regret bound is below this share of its damage
  uint64_t generations = 20;        // of the EvoPress-style search
  uint64_t offspring = 128;         // of each of them
  double token_fraction = 0.25;     // of the calibration tokens in the per-type products
  Codes codes = Codes::kBest;       // of our file; presets have nearest codes, as llama.cpp writes them
  bool force = false;
};

// One file, measured on the evaluation text against the unquantized model.
struct MeasuredFile {
  std::string name;  // preset name, or "assay"
  uint64_t bytes = 0;
  double bpw = 0;
  Interval mean_kl;  // nats per token
  double ppl = 0;
};

// Both files on a guard's text.
struct GuardOutcome {
  std::string text;
  MeasuredFile ours, preset;
  Interval change;  // as OptimizeResult::change
  bool passed = false;
};

// A recipe that a guard turned away, or that came after it.
struct TriedFile {
  MeasuredFile file;
  Interval change;  // as OptimizeResult::change
  std::vector<GuardOutcome> guards;
  bool passed = false;
};

struct StageTime {
  std::string name;
  double seconds = 0;
  uint64_t peak_memory_bytes = 0;
};

struct OptimizeResult {
  Plan plan;
  MeasuredFile measured;
  std::optional<MeasuredFile> preset;  // the best stock preset within the budget; none fits: empty
  std::optional<MeasuredFile> larger;  // the next larger preset
  // The preset's own recipe with our codes: what codes alone give. Empty with nearest codes.
  std::optional<MeasuredFile> preset_codes;
  Interval preset_codes_change;  // its mean KL / the preset's - 1
  std::map<std::string, double> damping;
  Interval change;  // measured mean KL / preset mean KL - 1, paired by window, clustered by document
  std::vector<GuardOutcome> guards;
  std::string plan_name;  // where the recipe comes from: "curvature", "refined", "evopress", ...
  std::optional<RefineReport> refine;
  std::optional<MeasuredFile> unrefined;  // of a refined plan: the one that curvature alone gives, on the same windows; the same codes
  Interval unrefined_change;              // measured mean KL / its mean KL - 1
  std::optional<SearchReport> search;
  std::vector<TriedFile> tried;  // after a failed guard: the first recipe and those that came after it; else empty
  bool accepted = true;          // false: the preset was as good, or a guard's text got worse, and the preset was written
  double base_ppl = 0;
  double noise_floor = 0;
  uint64_t tokens_scored = 0, windows = 0, documents = 0;
  std::string interval_method;
  std::vector<StageTime> stages;
  std::vector<std::string> warnings;
  UnitCounts units;
};

// The solver that measures whole recipes (plan/solve_evopress.h), beside those of plan/solver.h.
inline constexpr std::string_view kEvoPress = "evopress";

Result<OptimizeResult> optimize(const OptimizeOptions& options, const RunSettings& settings, Progress& progress);

}  // namespace assay
