// What a study of crystallised attention found: every mode's perplexity and recovery, spectra of the residual, the crystallisation map,
// what a decoder would save, verdicts. Torch-free; equal runs give equal results.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "assay/study/attention_savings.h"
#include "assay/study/conclusion.h"
#include "assay/study/estimate.h"

namespace assay {

// A rule and the layers it replaces.
struct AttentionMode {
  std::string rule;   // "full", "top-1", "top-k", "low-rank"
  int k = 0;          // keys, or rank
  std::string basis;  // low-rank: "residual", ..., "random"
  int draw = 0;       // which random basis
  std::string set;    // "together", "alone", "suffixes", "subsets", "heads"
  std::vector<int> layers;
  int head = -1;  // the only one replaced; -1: all
};

struct AttentionRow {
  AttentionMode mode;
  double ppl = 0;
  Estimate ppl_change;  // exp(mean NLL) less the model's
  Estimate loss;        // change of the mean NLL, nats per token
  Estimate kl;
  double flip_rate = 0;
  std::optional<Estimate> recovery;  // percent of what top-1 in the same layers loses; low-rank and top-k
  std::optional<Estimate> lead;      // of the residual's basis over this one at the same rank, in points of recovery
  // low-rank: share of the residual's energy that the basis keeps, mean over heads: on the basis text, and on evaluated text.
  std::optional<double> kept_fitted, kept;
};

// Of one head's residual on the basis text.
struct AttentionSpectrum {
  int layer = 0, head = 0;
  std::vector<double> cumulative;  // share of the energy in the first r + 1 directions
  int r90 = 0;                     // 1 + how many of these are below 0.9: the source's effective dimension
  double participation = 0;        // (sum of eigenvalues)^2 / sum of their squares
};

struct HeadCrystallisation {
  int layer = 0, head = 0;
  double ratio = 0, margin = 0, stability = 0;  // means over queries
};

struct LayerCrystallisation {
  int layer = 0;
  double ratio = 0, margin = 0, stability = 0;  // means over heads
  bool crystallised = false;                    // ratio < 0.2 and stability > 0.9: the source's rule
  std::optional<Estimate> loss;                 // of top-1 in this layer alone, nats per token
};

// Rank correlation of a diagnostic with what top-1 loses, over layers or over heads.
struct AttentionPrediction {
  std::string predictor;  // "p2/p1", "1 - margin", "1 - stability": larger is less crystallised
  std::string over;       // "layers", "heads"
  size_t n = 0;
  Estimate rho;           // interval: bootstrap over layers (heads)
  double detectable = 1;  // the smallest |rho| that n would show at 5 %, one-sided, with 80 % power
};

// The longest run of layers up to the last that may be replaced within a budget.
struct AttentionBudget {
  std::string rule;  // "top-1", "top-k"
  int k = 0;
  double budget = 0;  // of the perplexity's change
  int layers = 0;     // 0: not even the last one
};

struct AttentionSaving {
  std::string rule;
  int k = 0;
  DecoderCost full, replaced;
};

struct AttentionVerdict {
  // methods.md 7.6: the smallest rank below the head size whose recovery reaches 90, by its value; else the best rank.
  bool published_yes = false;
  int published_rank = 0;
  double published_recovery = 0;
  // Ours, by intervals: "yes", "partial", "no", "nothing to recover" (top-1 loses nothing that the text can show).
  std::string ours;
  std::optional<int> rank;  // the smallest whose lower end reaches 90
  // At the compared rank: the residual's basis recovers more than each control, by the lower end of the difference.
  int compared_rank = 0;
  std::optional<bool> beats_random, beats_values;
  std::string sentence;
};

struct AttentionResult : StudyConclusion {
  int layers = 0, heads = 0, kv_heads = 0, head_dim = 0;
  std::vector<int> chosen;  // layers replaced together
  uint64_t tokens_scored = 0, windows = 0, documents = 0, basis_windows = 0, diagnostic_windows = 0;
  std::string basis_from;  // "disjoint", "evaluation", "text"
  std::string interval;    // what is resampled
  double base_ppl = 0, noise_floor = 0;
  double forward_equivalents = 0;  // of the plan, in runs of the unedited model over all windows
  std::vector<AttentionRow> rows;
  std::vector<AttentionSpectrum> spectra;
  std::vector<HeadCrystallisation> heads_map;
  std::vector<LayerCrystallisation> layers_map;
  std::vector<AttentionPrediction> predictions;
  std::vector<AttentionBudget> budgets;
  uint64_t decoder_context = 0;
  std::vector<AttentionSaving> savings;
  AttentionVerdict verdict;
};

nlohmann::ordered_json to_json(const AttentionResult& result);

}  // namespace assay
