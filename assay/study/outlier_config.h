// What the outlier study is told: prompts, candidates, controls, edits, thresholds and the criteria written down before it. Read from YAML
// or JSON; options of the command line are laid over it. Torch-free. Non-goals: running it (job/study_outliers.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/gguf.h"
#include "assay/probe/layer_list.h"
#include "assay/study/known_super_weights.h"
#include "assay/study/outlier_taxonomy.h"
#include "assay/study/verdict.h"

namespace assay {

struct OutlierConfig {
  std::string name = "outliers";

  std::string strata_file;           // prompts of one's own (text/prompts.h) in place of the built-in ones; empty: those
  std::vector<std::string> strata;   // only these; empty: all
  uint64_t prompts_per_stratum = 0;  // the first so many; 0: all
  uint64_t max_tokens = 512;         // of a prompt

  std::vector<LayerRange> layers;                   // whose matrices are looked at; empty: all blocks, and an output matrix of its own
  std::vector<PublishedSuperWeight> super_weights;  // beside those published for the model by its name
  double spike = 50;                                // of the detector; 0: no detection
  uint64_t robust = 64;                             // robust magnitude outliers
  uint64_t walk = 192;                              // the list's first so many are walked for under-outliers
  uint64_t under = 32;                              // accepted at most
  double under_kl = 1e-4, under_ppl = 1e-3;         // accepted up to this mean KL and this |relative change of perplexity|
  uint64_t controls = 4;                            // per candidate
  bool match_magnitude = true;                      // controls are matched on |w| too
  std::string imatrix;                              // file: controls are matched on its column statistics too

  uint64_t strongest = 8;  // candidates by mean KL, with their controls, that are taken apart further
  std::vector<double> scales = {0.2, 0.5, 0.8, 1.2, 1.5, 2};
  uint64_t spread_radius = 4;
  double channel_scale = 1.01, spreadable = 0.8;  // recovered part from which an edit counts as spreadable
  std::vector<int> ranks = {1, 2, 4};
  std::vector<uint64_t> sets = {4, 16, 64};  // the strongest so many at once
  double tail = 0.05;                        // part of the positions in the tail KL
  uint64_t tracked_prompts = 2;              // per stratum, for the perturbation by layer

  TaxonomyThresholds thresholds;

  std::vector<GgmlType> share_types = {GgmlType::kQ4_K, GgmlType::kQ3_K, GgmlType::kQ2_K};  // empty: no shares
  std::vector<uint64_t> share_k = {1, 10, 100, 1000, 10'000};
  uint64_t share_controls = 2;  // matched sets of each size

  uint64_t variants = 2000;         // at most
  std::vector<Criterion> criteria;  // empty: default_outlier_criteria()
  uint64_t seed = 0;
  std::string rfic;  // the part of another study, as JSON; kept, and not looked at here
};

// Minutes in place of a quarter of an hour: what is larger is made smaller.
void make_quick(OutlierConfig& config);

// "share of the damage at Q4_K in the top 10000 outliers" and the like.
std::string share_statistic(GgmlType type, uint64_t k);
std::string excess_statistic(GgmlType type, uint64_t k);  // the same less that of matched controls
// The claim "single outliers carry at least 1 % of the damage": per type one for k = 1, one for the largest k, one beyond controls.
std::vector<Criterion> default_outlier_criteria(const OutlierConfig& config);

Result<OutlierConfig> parse_outlier_config(std::string_view text, bool yaml, const std::string& who);
Result<OutlierConfig> read_outlier_config(const std::string& path);

}  // namespace assay
