// What the study of crystallised attention is told: the protocol and the criteria that were written down before it (methods.md 2.11, 7.6).
// Read from YAML or JSON; options of the command line are laid over it. Torch-free. Non-goals: running it (job/study_attention.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/probe/attention_basis.h"
#include "assay/probe/layer_list.h"
#include "assay/study/verdict.h"
#include "assay/text/windows.h"

namespace assay {

// Which layers are replaced at once.
enum class LayerSets : uint8_t {
  kTogether,  // the chosen layers: every rule, rank and basis
  kAlone,     // every layer of the model by top-1; the chosen ones by every rank of the residual's basis too
  kSuffixes,  // from each layer to the last: top-1 and top-k
  kSubsets,   // all subsets of the chosen layers by top-1; at most kMostSubsetLayers of them
  kHeads,     // every head of the model by top-1
};
inline constexpr LayerSets kAllLayerSets[] = {LayerSets::kTogether, LayerSets::kAlone, LayerSets::kSuffixes, LayerSets::kSubsets,
                                              LayerSets::kHeads};
inline constexpr size_t kMostSubsetLayers = 4;
std::string_view name_of(LayerSets sets);  // "together", "alone", "suffixes", "subsets", "heads"

enum class BasisSource : uint8_t {
  kDisjoint,    // windows of the same text that are not evaluated, of other documents where there are some
  kEvaluation,  // the first evaluated windows: the source's choice, which leaks
  kText,        // another text (--basis-text)
};
std::string_view name_of(BasisSource source);  // "disjoint", "evaluation", "text"

struct AttentionConfig {
  std::string name = "attention";
  std::vector<LayerRange> layers;  // replaced together; empty: the last quarter of the blocks
  std::vector<LayerSets> sets = {LayerSets::kTogether, LayerSets::kAlone, LayerSets::kSuffixes, LayerSets::kSubsets, LayerSets::kHeads};
  std::vector<int> top_k = {2, 4, 8};
  std::vector<int> ranks;  // empty: 1, 2, 4, ... 32, below the head size
  std::vector<BasisKind> bases = {BasisKind::kResidual, BasisKind::kCentred, BasisKind::kContext, BasisKind::kValues, BasisKind::kRandom};
  int random_draws = 3;
  BasisSource basis_from = BasisSource::kDisjoint;
  uint64_t windows = 30;            // evaluated
  uint64_t basis_windows = 16;      // that bases are made from
  uint64_t diagnostic_windows = 8;  // the first evaluated ones
  uint32_t ctx = 256;               // tokens per window
  WindowRule window = WindowRule::kFull;
  double noise = 0.05;              // of queries, in their standard deviations
  int compare_rank = 0;             // where bases are held against each other; 0: the largest rank up to a quarter of the head size
  uint64_t context = 4096;          // tokens a decoder has behind it, for what it would save
  std::vector<Criterion> criteria;  // empty: default_attention_criteria()
  uint64_t seed = 42;
};

// Fewer windows, ranks, bases and sets: minutes become seconds.
void make_quick(AttentionConfig& config);

// The ranks to measure: those given, or powers of two up to 32 below the head size. kMismatch: a rank above the head size.
Result<std::vector<int>> ranks_of(const AttentionConfig& config, int head_dim);
int compare_rank_of(const AttentionConfig& config, const std::vector<int>& ranks, int head_dim);

std::vector<Criterion> default_attention_criteria();
// The statistics that those are about.
inline constexpr const char* kFullStatistic = "KL of the full rule beyond the noise floor";
inline constexpr const char* kRecoveryStatistic = "recovery at the largest rank";
inline constexpr const char* kOverRandomStatistic = "lead over the random basis at the compared rank";
inline constexpr const char* kOverValuesStatistic = "lead over the basis of values at the compared rank";
inline constexpr const char* kPredictionStatistic = "rho of p2/p1 with the loss of top-1 by layer";

Result<AttentionConfig> parse_attention_config(std::string_view text, bool yaml, const std::string& who);
Result<AttentionConfig> read_attention_config(const std::string& path);
// "residual,random" and "together,alone" of the command line.
Result<std::vector<BasisKind>> parse_bases(const std::string& list);
Result<std::vector<LayerSets>> parse_layer_sets(const std::string& list);
// "1,2,4": whole numbers from 1.
Result<std::vector<int>> parse_counts(const std::string& option, const std::string& list);

}  // namespace assay
