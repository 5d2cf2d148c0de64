// What the Q-PSA study is told: the protocol and the criteria that were written down before it (methods.md 3.1, 6.1, 7.4). Read from YAML
// or JSON; options of the command line are laid over it. Torch-free. Non-goals: running it (job/study_qpsa.h).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/probe/layer_list.h"
#include "assay/study/verdict.h"

namespace assay {

struct QpsaConfig {
  std::string name = "qpsa";
  std::vector<std::string> tensors = {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"};
  std::vector<LayerRange> layers;                    // empty: all
  uint64_t samples = 100;                            // per matrix, each both ways
  std::vector<uint64_t> convergence;                 // sample sizes; the largest is what is measured then
  std::vector<int> k = {1, 2, 4, 8};                 // layers left out
  std::vector<std::string> methods;                  // rankings to compare; empty: all
  std::map<std::string, std::vector<int>> rankings;  // given ones: {method: [layers, most important first]}
  std::vector<double> gammas = {1, 0.5};             // of repeated layers
  int times = 2;                                     // runs of a repeated layer
  int random_draws = 20;
  bool byte_mode = true, level_mode = true;
  std::vector<Criterion> criteria;  // empty: the defaults below
  uint64_t seed = 42;
};

// The published criteria and the sound ones beside them.
std::vector<Criterion> default_criteria();

Result<QpsaConfig> parse_qpsa_config(std::string_view text, bool yaml, const std::string& who);
Result<QpsaConfig> read_qpsa_config(const std::string& path);
// {method: [layers, most important first]}, or what `assay study qpsa --json` wrote.
Result<std::map<std::string, std::vector<int>>> read_rankings(const std::string& path);

}  // namespace assay
