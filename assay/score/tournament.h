// The tournament: which scores predict real damage. Scores are judged against one truth - measured values of the same items - by rank
// agreement with intervals, given size and type, against chance; what follows is one plain verdict each (score_verdict.h).
//   overall      all items together: mostly whether coarse types are told from fine ones
//   within type  the mean over types, weighted by items: which tensor suffers more under the same type
//   within role  the mean over (role, type), weighted by items: which layer suffers more
// Given size: correlation of the ranks within types after what the rank of size explains is taken out of both (first-order partial). Ranks
// within a type, not overall ranks with a dummy per type: whatever a type does to the scale of damage is gone, not its mean alone.
// Intervals, 95 % percentile bootstrap. Over items: tensors are drawn, each with all its types, since their scores and damages go
// together; it covers in 94 to 98 % of simulated cases from 25 tensors on. Over documents: the truth is made anew from resampled windows
// (statistics.h); that noise comes on top of the sample's own, so where it is as large as what tells items apart the interval lies too low,
// the careful side (tests/score/tournament_test.cpp counts both). For a joint statement both must hold.
// p: one-sided, of the within-type Spearman, (1 + hits) / (1 + permutations). Whole tensors are permuted, with all their types, among
// tensors that have the same types: that keeps a tensor's cells together, without which p would be far too small.
// A pure function of its input and the seed; O((resamples + permutations) x scores x items). Torch-free.
// Non-goals: measuring, computing scores (score_run.h), printing.
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
  std::string name;  // tensor or group; the items of one name are one independent draw
  std::string type;  // "Q4_K"; text, because others measure types that are not ours; empty: none
  std::string role;  // "ffn_down"
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
  size_t items = 0, tensors = 0, types = 0;  // that the score speaks of
  RankAgreement overall, within_type, within_role;
  RankStatistic given_size;
  Calibration calibration;
  double p = 1, p_holm = 1;
  double smallest_detectable = 1;  // rho, from the number of tensors
  ScoreVerdict verdict = ScoreVerdict::kNotDecidable;
};

// In the order of the scores; p is Holm-corrected over all of them. Errors: kUsage (no items, other lengths, resamples or permutations 0),
// kBadInput (NaN truth, an infinite value, the same name and type twice), kMismatch (items with other windows).
Result<std::vector<ScoreJudgement>> judge_scores(const TournamentTruth& truth, std::span<const TournamentScore> scores,
                                                 const TournamentOptions& options = {});

}  // namespace assay
