// What the families share when they read GGUF metadata or a Hugging Face config.json. Internal to model/.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "assay/model/architecture.h"

namespace assay::arch {

// Required and optional keys "<prefix>.<name>", checked against (0, limit].
class KeyReader {
 public:
  explicit KeyReader(const Metadata& metadata, std::string prefix) : metadata_(metadata), prefix_(std::move(prefix)) {}
  Result<int> positive(std::string_view name, int limit) const;
  Result<int> positive_or(std::string_view name, int limit, int fallback) const;
  Result<double> real_or(std::string_view name, double fallback) const;
  Result<std::string> text_or(std::string_view name, std::string fallback) const;

 private:
  const Metadata& metadata_;
  std::string prefix_;
};

// Sizes, head counts, context, RoPE and its scaling: the keys all families use.
Result<Hyper> parse_common(const Metadata& metadata, std::string_view name);

// Fields of config.json. Errors name the field.
Result<uint64_t> config_size(const nlohmann::json& config, std::string_view field);
uint64_t config_size_or(const nlohmann::json& config, std::string_view field, uint64_t fallback);
double config_real_or(const nlohmann::json& config, std::string_view field, double fallback);

// The keys of a decoder with RMS norm and rotary embedding (llama, qwen2, qwen3).
Result<Metadata> rotary_metadata(const nlohmann::json& config, std::string_view name);
// Its tensors: attention without biases, gated MLP. `permute`: q and k rows go to interleaved rotary order.
std::vector<HfTensorRule> rotary_tensors(bool permute, bool qkv_bias, bool qk_norm);

}  // namespace assay::arch

namespace assay {
const Architecture& llama_architecture();
const Architecture& qwen2_architecture();
const Architecture& qwen3_architecture();
const Architecture& gpt2_architecture();
}  // namespace assay
