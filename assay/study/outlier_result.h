// What the outlier study measured, and as JSON and CSV. KLs are mean KL(model || changed) in nats per token; intervals are at 95 % over
// prompts. Fields and names: methods.md 1.7, 2.8, 2.10, 7.1. Torch-free. Non-goals: words (cli/study_outliers.cpp).
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "assay/probe/statistics.h"
#include "assay/study/conclusion.h"
#include "assay/study/outlier_edits.h"
#include "assay/study/outlier_taxonomy.h"

namespace assay {

// One comparison with the model, on some prompts.
struct Behaviour {
  uint64_t tokens = 0;
  double kl = 0, tail_kl = 0, flip_rate = 0, margin_change = 0;
  double ppl_base = 0, ppl = 0;
  double ppl_change() const { return ppl_base > 0 ? ppl / ppl_base - 1 : 0; }
};

// A block's output, what the edit moved there, over all tokens of the tracked prompts.
struct TrackedLayer {
  int layer = 0;
  double norm = 0;         // Frobenius
  double token_norm = 0;   // mean over tokens
  double centred = 0;      // lambda_1 / sum of lambda, columns centred (methods.md 2.10)
  double uncentred = 0;    // and as it is
  std::vector<double> at;  // mean token norm of the positions of OutlierResult::position_bins
};

struct OutlierRow {
  enum class Kind : uint8_t { kSuper, kRobust, kControl };
  Kind kind = Kind::kRobust;
  std::string source;  // kSuper: "config", "published", "detected"
  bool under = false;  // kRobust: accepted as a functional under-outlier
  bool listed = true;  // kRobust: among the first `robust`; false: walked for under-outliers alone
  WeightPlace place;
  std::string role;
  int layer = -1;
  double weight = 0, robust_score = 0, row_norm = 0, column_norm = 0, activation = 0;
  std::optional<size_t> target;  // kControl: of which row
  double match_distance = 0;
  size_t first_control = 0;  // not of controls: where theirs begin, 0: none
  size_t controls = 0;

  Interval kl;
  bool below_floor = false;
  Behaviour all;
  std::vector<Behaviour> strata;        // by OutlierResult::strata
  std::optional<Interval> interaction;  // I(A, B) = KL(A and B) - KL(A) - KL(B), the largest of its pairs
  std::optional<size_t> partner;        // with whom
  std::vector<TrackedLayer> tracked;    // from the first block that it moves
  std::optional<double> max_stability, max_stability_uncentred;
  OutlierLabel label = OutlierLabel::kUnresolved;
};
std::string_view name_of(OutlierRow::Kind kind);  // "super", "robust", "control"

struct OutlierSet {
  std::string of;  // "strongest", "their controls"
  uint64_t size = 0;
  Interval kl, interaction;
};
struct OutlierDose {
  size_t row = 0;
  double scale = 0;  // of the weight; 0 is zeroing, 1 the model
  Interval kl;
  double tail_kl = 0, flip_rate = 0, nll_difference = 0;
};
struct OutlierEdit {
  size_t row = 0;
  std::string form;  // "spread", "row scaled", "row zeroed", "column zeroed"
  Interval kl;
  Interval recovery;  // (KL zeroed - KL) / KL zeroed
  bool recovered = false;
};
struct OutlierPatch {
  size_t row = 0;
  std::string form;  // "first", "replace", "rank", "patch_all_seed"
  int layer = -1;    // "replace": after which block
  int rank = 0;      // "rank": 0 elsewhere
  Interval kl, recovery;
};
// How often the published form adds what is restored already: at a block the part of -delta in the patched stream's distance from the
// model, 0 at the first changed block, 1 at the next.
struct OutlierOvershoot {
  size_t row = 0;
  std::vector<std::pair<int, double>> layers;
};

struct OutlierShare {
  std::string type, selection;  // "outliers", "controls", "curvature", "path", "error"
  uint64_t k = 0;
  uint64_t draw = 0;     // of controls
  Interval kl;           // with the k restored
  Interval share;        // (KL - KL restored) / KL
  double nll_share = 0;  // the same of the change of the loss
};
struct OutlierDamage {
  std::string type;
  uint64_t elements = 0;
  Interval kl;
  double nll_difference = 0;
};
struct OutlierExcess {
  std::string type;
  uint64_t k = 0;
  Interval excess;  // share of the outliers less the mean of the controls'
};

struct OutlierResult : StudyConclusion {
  uint64_t prompts = 0, tokens = 0, share_prompts = 0, share_tokens = 0, tracked_tokens = 0;
  std::vector<std::string> strata;
  std::vector<std::string> position_bins;  // "0", "1", "2-3", ...
  std::string interval;
  double noise_floor = 0;
  double detector_grade = 0;  // the greatest of the blocks; above 1 a super weight is found
  double tail = 0;
  uint64_t variants = 0;
  std::vector<OutlierRow> rows;
  std::vector<size_t> strongest;  // rows
  std::vector<OutlierSet> sets;
  std::vector<OutlierDose> doses;
  std::vector<OutlierEdit> edits;
  std::vector<OutlierPatch> patches;
  std::vector<OutlierOvershoot> overshoots;
  std::vector<TaxonomySensitivity> candidates, controls;  // label counts under moved thresholds
  std::vector<OutlierDamage> damages;
  std::vector<OutlierShare> shares;
  std::vector<OutlierExcess> excesses;
};

nlohmann::ordered_json to_json(const OutlierResult& result);
// A line per row, with all fields: the strata's as NAME_kl and so on.
std::string to_csv(const OutlierResult& result);

}  // namespace assay
