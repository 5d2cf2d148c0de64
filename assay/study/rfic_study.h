// What the RFIC / under-outlier study is told, and what it measured, also as JSON and CSV (methods.md 3.14, 7.3). Torch-free.
// Non-goals: running it (job/study_rfic.h).
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/atomic_writer.h"
#include "assay/probe/layer_list.h"
#include "assay/probe/statistics.h"
#include "assay/study/rfic_screen.h"
#include "assay/study/rfic_verdict.h"

namespace assay {

struct RficConfig {
  std::string name = "rfic";
  std::vector<LayerRange> layers;                 // whose matrices are screened; empty: a quarter, half and three quarters of the way
  std::vector<std::string> roles = {"ffn_down"};  // the middle of tensor names
  GroupGrid grid;                                 // bits 4, groups of 128, zero point
  uint64_t tokens = 512;                          // of the calibration text, in the screen; its first ones
  std::vector<RficRule> rules = {RficRule::kV0, RficRule::kA, RficRule::kB, RficRule::kC};
  std::vector<RficRule> gate_rules = {RficRule::kB, RficRule::kC};
  uint64_t gate_top = 5;      // of every matrix and rule
  uint64_t gate_windows = 4;  // of the calibration text
  std::vector<RficRule> ruleset = {RficRule::kB};
  uint64_t top_k = 20;               // weights per matrix in the full model
  uint64_t calibration_windows = 8;  // of AWQ's scales
  uint64_t windows = 0;              // of the evaluation text; 0: all of them
  uint64_t seed = 0;
};
Result<RficConfig> parse_rfic_config(std::string_view text, bool yaml, const std::string& who);
Result<RficConfig> read_rfic_config(const std::string& path);

// A candidate in the model whose screened matrices alone are quantized.
struct RficGate {
  size_t candidate = 0;
  Interval kl_improvement;  // mean KL of the quantized less that with the weight zeroed first
  double ppl_improvement = 0;
  double zero_kl = 0;  // of the unquantized model with the weight zeroed
};

// One kind of AWQ in the full model.
struct RficCheck {
  std::string method;  // "AWQ-lite", "AWQ"
  UnpairedPpl plain, quantized, zero_quantized, zero_only;
  Interval quantized_kl, zero_quantized_kl;
  Interval zero_change;   // nats per token: zero, then quantized less quantized
  Interval plain_change;  // zeroed only less unedited
  std::string source_verdict, verdict;
};

struct RficResult {
  std::string config_name;
  std::vector<std::string> tensors;  // screened
  uint64_t screen_tokens = 0;
  std::vector<RficCandidate> candidates;
  std::vector<size_t> front;
  std::vector<RficSummary> summary;
  double gate_baseline_kl = 0;
  std::vector<RficGate> gate;
  std::vector<size_t> zeroed;  // candidates of the full check
  std::vector<RficCheck> checks;
  uint64_t windows = 0, documents = 0, tokens_scored = 0;
  std::string interval;
  std::vector<std::string> notes;
};

nlohmann::ordered_json to_json(const RficResult& result);
// One line per candidate, with a header.
std::string candidates_csv(const RficResult& result);
// "benefit_harm" and, of the candidates that gain and harm less than the median, "benefit_harm_zoom", "check", each .svg and .png.
Result<std::vector<std::string>> write_figures(const RficResult& result, const std::string& directory, const std::string& subtitle,
                                               const OutputOptions& options);

}  // namespace assay
