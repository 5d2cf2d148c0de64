// What the Q-PSA study measured, and as JSON. Changes of perplexity are in its own units; damage in nats per token. Torch-free.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "assay/probe/observation.h"
#include "assay/study/conclusion.h"
#include "assay/study/layer_scores.h"

namespace assay {

// A ranking of layers and what it rests on.
struct QpsaMethod {
  std::string name;
  std::vector<double> scores, errors;  // per layer; errors empty where there is no sampling
  std::vector<int> ranking;            // most important first
  std::vector<RankInterval> ranks;
  std::optional<Correlation> split_half;
  double forward_equivalents = 0;
};

struct QpsaPruning {
  std::string method;
  int k = 0;
  double ppl_ratio = 1;
  std::optional<std::pair<double, double>> quartiles;  // of random draws; ppl_ratio is their median then
  std::vector<int> left_out;
  std::vector<WindowSums> segments;  // of the text, for intervals; not of summaries, not in the JSON
};

struct QpsaLoop {
  std::string form;  // "repeat", or "replace": the published one, which overwrites the bottom k layers by the top k
  int first = 0, last = 0, times = 2;
  double gamma = 1, nll_difference = 0;
  std::vector<WindowSums> segments;  // as above
};

struct QpsaConvergence {
  std::string method;
  uint64_t samples = 0;  // per matrix
  std::optional<double> rho_to_largest, split_half;
  double mean_relative_error = 0;  // standard error over score, mean over layers
  bool same_top_4 = false, same_bottom_5 = false;
};

// Bytes of one region of one type.
struct QpsaRegion {
  std::string type, region;
  uint64_t bytes = 0, non_finite = 0;
  double mean_effect = 0, share_of_score = 0, share_of_bytes = 0, mean_weights_changed = 0;
};

// |g . step| of every weight by one gradient, against one-level effects measured one by one.
struct QpsaShortcut {
  uint64_t weights_compared = 0, weights_scored = 0;
  std::optional<double> rho_weights;      // predicted with measured, weight by weight
  double sum_ratio = 0;                   // sum measured over sum predicted
  double second_order_share = 0;          // mean |(up + down) / 2| over mean effect
  std::optional<double> rho_layers_same;  // layer scores of the same samples, predicted with measured
  std::optional<double> rho_layers_all;   // measured samples against the mean over all weights
  std::vector<double> scores;             // per layer, all weights
  double forward_equivalents = 0, naive_forward_equivalents = 0;
};

struct QpsaResult : StudyConclusion {
  int layers = 0;
  double base_ppl = 0, noise_floor = 0;
  uint64_t tokens_scored = 0, samples = 0, non_finite = 0;
  std::vector<QpsaMethod> methods;
  std::vector<std::pair<std::string, Correlation>> correlations;  // "qpsa_byte with layer_ablation"
  std::vector<QpsaPruning> pruning;
  std::vector<QpsaLoop> loops;
  std::vector<QpsaConvergence> convergence;
  std::vector<QpsaRegion> regions;
  std::optional<QpsaShortcut> shortcut;
  std::vector<std::string> quadrants;  // per layer: "robust but essential", ...; empty without both scores
};

nlohmann::ordered_json to_json(const QpsaResult& result);

}  // namespace assay
