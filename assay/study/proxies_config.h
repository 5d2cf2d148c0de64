// What the proxies study is told: which changed models, which of a task file's items, and what counts as predicting, written down before
// it. Read from YAML or JSON; options of the command line are laid over it. Torch-free. Non-goals: running it (job/study_proxies.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/gguf.h"
#include "assay/probe/layer_list.h"

namespace assay {

struct ProxiesConfig {
  std::string name = "proxies";
  std::vector<std::string> presets;  // whole models at a stock mix
  std::vector<GgmlType> types;       // every matrix of the blocks at one type
  std::vector<GgmlType> low_types;   // one role's matrices at one type, role by role
  std::vector<double> noise;         // every matrix of the blocks: this part of its standard deviation added as noise
  bool skip_layers = true;           // each block left out alone
  std::vector<LayerRange> layers;    // of skip_layers; empty: all
  uint64_t single_weights = 0;       // the largest weight of ffn_down set to 0, in so many blocks
  uint64_t items = 0;                // the first so many of each task file; 0: all
  uint64_t windows = 0;              // of the text; 0: all
  double predicts = 0.5;             // a Spearman correlation that is called predicting
  uint32_t resamples = 1000;
  uint64_t seed = 42;
};

// What is taken where a config says nothing: half an hour on the bundled model and two cores, or three minutes.
ProxiesConfig default_proxies_config(bool quick);

// Keys that are given replace those of `config`.
Result<ProxiesConfig> parse_proxies_config(std::string_view text, bool yaml, const std::string& who, ProxiesConfig config);
Result<ProxiesConfig> read_proxies_config(const std::string& path, ProxiesConfig config);

}  // namespace assay
