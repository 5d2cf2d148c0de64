// Qwen 3 (dense): half-split rotary embedding, an RMS norm on every head of q and k, no biases.
#include "assay/model/arch_common.h"
#include "assay/model/hf_config.h"

namespace assay {
namespace {

Result<Hyper> parse(const Metadata& metadata) {
  ASSAY_ASSIGN(Hyper hyper, arch::parse_rotary(metadata, "qwen3", RopeKind::kHalfSplit));
  hyper.qk_norm = true;
  hyper.window_in_some_blocks = true;
  return hyper;
}

Result<Metadata> hf_metadata(const nlohmann::json& config) { return hf::rotary_metadata(config, {"qwen3", 128, true}); }

}  // namespace

const Architecture& qwen3_architecture() {
  static const Architecture architecture = {
      "qwen3", {"Qwen3ForCausalLM", "qwen3"}, parse, hf_metadata, hf::rotary_tensors({.qk_norm = true})};
  return architecture;
}

}  // namespace assay
