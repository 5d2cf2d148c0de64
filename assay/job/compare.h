// The tournament of sensitivity scores on one model (`assay compare`): all scores together, measured truths of the same text, and what
// follows (score/tournament.h). Torch-free header. Non-goals: printing, figures.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assay/job/score_model.h"
#include "assay/plan/damage_table.h"
#include "assay/probe/statistics.h"
#include "assay/score/tournament.h"

namespace assay {

enum class CompareTruth : uint8_t {
  kDamage,   // KL of storing one matrix at one type, every matrix and type
  kRemoval,  // KL of leaving out a block, its attention or its feed-forward
  kJoint,    // KL of random recipes at three sizes: does the sum of a score order whole recipes?
  kPlan,     // KL of the recipe that the exact solver makes from the score at three sizes: what the score costs
};
inline std::string_view name_of(CompareTruth truth) {
  constexpr std::string_view kNames[] = {"damage", "removal", "joint", "plan"};
  return kNames[static_cast<size_t>(truth)];
}

// A score that somebody else made: values by tensor, or by group (group_of); larger predicts more damage.
struct GivenScore {
  std::string name;
  std::map<std::string, double> values;
};

struct CompareOptions {
  ScoreModelOptions score;
  std::vector<GivenScore> given;
  std::vector<CompareTruth> truths = {CompareTruth::kDamage};
  // Damages that are known already (`assay sweep --json`, or others'), tensor by tensor: kDamage measures nothing then, and has no
  // intervals over documents.
  std::optional<DamageTable> measured;
  uint32_t recipes = 120;                       // of kJoint, in all
  std::vector<double> sizes = {3.5, 4.5, 5.5};  // of kJoint and kPlan, bits per weight over all tensor bytes
  TournamentOptions tournament;
};

struct TruthReport {
  CompareTruth truth = CompareTruth::kDamage;
  size_t items = 0, below_floor = 0;
  std::vector<ScoreJudgement> judgements;  // in the order of the scores
  double seconds = 0;                      // of measuring
};

// A score's recipe at a size.
struct PlannedRecipe {
  std::string score;  // "measured": from the measured damages
  double bpw = 0;
  uint64_t bytes = 0;
  Interval kl;      // mean, nats per token
  Interval regret;  // KL over that of the best recipe known at this size, less 1; paired by window
};

struct CompareResult {
  ScoreModelResult scores;
  std::vector<TruthReport> truths;
  std::vector<PlannedRecipe> plans;  // size by size, best first
  double noise_floor = 0;
  std::string interval_unit;  // of intervals over documents
  std::vector<std::string> notes;
};

Result<CompareResult> compare_scores(const CompareOptions& options, const RunSettings& settings, Progress& progress);

}  // namespace assay
