// The tournament: which scores predict real damage. Scores are judged against one truth - measured values of the same items - by rank
// agreement with intervals, given size and type, against chance; what follows is one plain verdict each (score_verdict.h).
//   overall        all items together
//   within type    the mean over types, weighted by items: which tensor suffers more under the same type
//   within role    the mean over (role, type), weighted by items: which layer suffers more
//   within tensor  the mean over tensors, weighted by items: which type a tensor suffers more under
//   given size     correlation of the ranks within types after what size's rank explains is taken out of both (first-order partial);
//                  ranks within a type, not overall ranks with a dummy per type: that takes out all a type does to the scale of damage
// Scores and damages go by role and by layer, so a model's tensors are not so many independent draws: a test that took them for that
// called a random number per layer or per role significant in 6 to 35 % of cases on published measurements. Hence:
// - p: one-sided, (1 + hits) / (1 + permutations), of the within-type Spearman and of the one given size (what size leaves of the score is
//   permuted: Freedman and Lane 1983). Roles and layers are permuted as wholes (role_permutation.h). What that cannot see is a trend over
//   all of the depth: of random smooth curves over depth 8, 11, 36 and 40 % pass on four published models. `early` and `ends` of
//   name_scores.h show what depth alone gives; further models decide.
// - 95 % percentile intervals over blocks: layers are drawn, each with all its tensors and types, tensors outside the layers one by one.
//   Roles and types are those of the model.
// - 95 % percentile intervals over documents: the truth is made anew from resampled windows (statistics.h). That noise comes on top of the
//   sample's own: where it is as large as what tells items apart the interval lies too low, the careful side.
// tests/score/tournament_rates_slow_test.cpp counts: p errs at its rate for scores drawn per tensor, layer or role; intervals over blocks
// cover in 92 to 95 % of cases from 12 layers on. A pure function of input and seed; O((resamples + permutations) x scores x items).
// Torch-free. Non-goals: measuring, computing scores (score_run.h), printing.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "assay/base/result.h"
#include "assay/probe/observation.h"
#include "assay/score/score_verdict.h"

namespace assay {

struct TournamentItem {
  std::string name;  // tensor or group, one at its role and layer
  std::string type;  // "Q4_K"; text, because others measure types that are not ours; empty: none
  std::string role;  // "ffn_down"; it and the layer say what chance may exchange (named_tensor in name_scores.h reads both off a name)
  int layer = -1;    // -1: not in a block
  uint64_t elements = 0;
  double truth = 0;  // larger is worse
};

struct TournamentTruth {
  std::vector<TournamentItem> items;
  std::vector<std::vector<WindowSums>> windows;  // of each item, the same windows; empty: no intervals over documents
  double WindowSums::* sum = &WindowSums::kl;    // truth is this sum over the scored tokens, or a function that rises with it
};

struct TournamentScore {
  std::string name;
  std::vector<double> values;  // of each item, larger predicts more damage; NaN: says nothing of that item
  bool same_unit = false;      // as the truth: slope and ratio mean something
};

struct TournamentOptions {
  uint32_t resamples = 2000;     // of each bootstrap
  uint32_t permutations = 4999;  // so p >= 0.0002
  uint64_t seed = 0;
  double top_share = 0.1;  // k of the top-k overlap: this share of the items, at least 1
};

struct RankAgreement {
  RankStatistic spearman;
  std::optional<double> kendall, top_overlap;  // tau-b; overlap 1: the same items, top_share: chance
};

// How values, not ranks, compare. Empty: other units, or nothing to divide by.
struct Calibration {
  std::optional<double> slope;          // truth = slope x score, least squares through the origin
  std::optional<double> ratio;          // sum of scores / sum of truths: 1 is right, below 1 predicts too little
  std::optional<double> log_slope;      // of log truth on log score, 1: proportional
  std::optional<double> log_r_squared;  // of that line
  size_t positive = 0;                  // items where both are above 0, those of the line
};

struct ScoreJudgement {
  std::string name;
  size_t items = 0, tensors = 0, blocks = 0, types = 0;  // that the score speaks of; blocks: layers, and tensors outside them
  RankAgreement overall, within_type, within_role, within_tensor;
  RankStatistic given_size;
  Calibration calibration;
  double p = 1, p_holm = 1;
  double p_given_size = 1, p_given_size_holm = 1;
  double smallest_detectable = 1;  // rho within types, from the spread of the permutations
  ScoreVerdict verdict = ScoreVerdict::kNotDecidable;
};

// In the order of the scores; p is Holm-corrected over all of them. Errors: kUsage (no items, other lengths, resamples or permutations 0),
// kBadInput (NaN truth, an infinite value, the same name and type twice), kMismatch (items with other windows).
Result<std::vector<ScoreJudgement>> judge_scores(const TournamentTruth& truth, std::span<const TournamentScore> scores,
                                                 const TournamentOptions& options = {});

}  // namespace assay
