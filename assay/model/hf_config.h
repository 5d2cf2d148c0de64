// Reading a Hugging Face config.json: typed fields, and the GGUF keys and tensor names of the rotary families. Internal to model/.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "assay/model/architecture.h"

namespace assay::hf {

std::string shown(const nlohmann::json& value);  // at most 60 bytes, for messages

// Fields of one JSON object; null counts as absent. Errors name the field, what it holds and what is needed.
class ConfigReader {
 public:
  explicit ConfigReader(const nlohmann::json& object, std::string where = {}) : object_(object), where_(std::move(where)) {}
  Result<uint64_t> size(std::string_view field) const;  // a whole number, 1 to 2^32 - 1
  Result<uint64_t> size_or(std::string_view field, uint64_t fallback) const;
  Result<double> real_or(std::string_view field, double fallback) const;
  Result<bool> flag_or(std::string_view field, bool fallback) const;
  Result<std::string> text_or(std::string_view field, std::string fallback) const;
  bool has(std::string_view field) const { return find(field) != nullptr; }
  const nlohmann::json* find(std::string_view field) const;  // nullptr: absent or null
  // Refuses the model unless the field is absent or holds `needed`.
  Status must_be(std::string_view field, const nlohmann::json& needed) const;
  std::string name_of(std::string_view field) const;  // for messages

 private:
  const nlohmann::json& object_;
  std::string where_;  // the field this object stands in
};

// RoPE as config.json describes it: rope_theta and rope_scaling, or both in rope_parameters (transformers 5).
struct RopeConfig {
  double base = 10000;
  std::string kind = "default";  // default, linear, llama3, yarn
  double factor = 1;
  double attention_factor = 0;  // yarn: multiplies cos and sin; 0: the usual one
  double beta_fast = 32, beta_slow = 1;
  double low_frequency_factor = 1, high_frequency_factor = 4;  // llama3
  uint64_t original_context = 0;                               // llama3 and yarn
};
Result<RopeConfig> rope_config(const ConfigReader& config);

struct RotaryFamily {
  std::string_view architecture;
  uint64_t default_head_dim = 0;  // 0: width / heads
  bool window_by_flag = false;    // a sliding window only where use_sliding_window says so, and only in some blocks
};
// The keys of a decoder with RMS norm, rotary embedding and gated SiLU (llama, qwen2, qwen3).
Result<Metadata> rotary_metadata(const nlohmann::json& config, const RotaryFamily& family);

struct RotaryTensors {
  bool permute = false;  // q and k rows go to interleaved rotary order
  bool qkv_bias = false, output_bias = false, mlp_bias = false, qk_norm = false;
};
std::vector<HfTensorRule> rotary_tensors(const RotaryTensors& with);

}  // namespace assay::hf
