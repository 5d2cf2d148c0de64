// What the PQI study is told: the protocol and the criteria that were written down before it (methods.md 3.5, 3.8). Read from YAML or JSON;
// options of the command line are laid over it. Torch-free. Non-goals: running it (job/study_pqi.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/gguf.h"
#include "assay/probe/layer_list.h"
#include "assay/score/path_rule.h"
#include "assay/study/verdict.h"

namespace assay {

struct PqiConfig {
  std::string name = "pqi";
  std::vector<GgmlType> types;      // empty: the defaults below
  std::vector<LayerRange> layers;   // empty: all blocks
  int intervals = 0;                // N of the integral, and the largest N of the closure table; 0: the default below
  std::vector<PathRule> rules;      // the first integrates; all are in the closure table; empty: every one
  std::vector<Criterion> criteria;  // empty: default_pqi_criteria()
  uint64_t seed = 42;
};

// What is taken where nothing is said: a quarter of an hour on the demo model and two cores, or three minutes.
struct PqiDefaults {
  std::vector<GgmlType> types;
  int intervals = 32;
  uint64_t windows = 10;
};
PqiDefaults pqi_defaults(bool quick);

// Per type: the share of the measured change that first and second order explain is at least 0.8 and below 1.2.
std::vector<Criterion> default_pqi_criteria(const std::vector<GgmlType>& types);
// The statistic that those are about: "share of first and second order at Q4_K".
std::string share_statistic(GgmlType type);

Result<std::vector<PathRule>> parse_rules(std::string_view list);  // "midpoint,gauss"
Result<PqiConfig> parse_pqi_config(std::string_view text, bool yaml, const std::string& who);
Result<PqiConfig> read_pqi_config(const std::string& path);

}  // namespace assay
