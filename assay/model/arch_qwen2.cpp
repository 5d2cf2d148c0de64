// Qwen 2 and 2.5 (dense): half-split rotary embedding, biases on q, k and v.
#include "assay/model/arch_common.h"
#include "assay/model/hf_config.h"

namespace assay {
namespace {

Result<Hyper> parse(const Metadata& metadata) {
  ASSAY_ASSIGN(Hyper hyper, arch::parse_rotary(metadata, "qwen2", RopeKind::kHalfSplit));
  hyper.attention_bias = true;
  hyper.window_in_some_blocks = true;
  return hyper;
}

Result<Metadata> hf_metadata(const nlohmann::json& config) { return hf::rotary_metadata(config, {"qwen2", 0, true}); }

}  // namespace

const Architecture& qwen2_architecture() {
  static const Architecture architecture = {
      "qwen2", {"Qwen2ForCausalLM", "qwen2"}, parse, hf_metadata, hf::rotary_tensors({.qkv_bias = true})};
  return architecture;
}

}  // namespace assay
