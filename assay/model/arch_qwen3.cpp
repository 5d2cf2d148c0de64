// Qwen 3 (dense): half-split rotary embedding, an RMS norm on every head of q and k, no biases.
#include "assay/model/arch_common.h"

namespace assay {
namespace {

Result<Hyper> parse(const Metadata& metadata) {
  ASSAY_ASSIGN(Hyper hyper, arch::parse_common(metadata, "qwen3"));
  hyper.rope = RopeKind::kHalfSplit;
  hyper.qk_norm = true;
  ASSAY_ASSIGN(hyper.norm_eps, arch::KeyReader(metadata, "qwen3").real_or("attention.layer_norm_rms_epsilon", 1e-6));
  return hyper;
}

Result<Metadata> hf_metadata(const nlohmann::json& config) { return arch::rotary_metadata(config, "qwen3"); }

}  // namespace

const Architecture& qwen3_architecture() {
  static const Architecture architecture = {"qwen3", {"Qwen3ForCausalLM"}, parse, hf_metadata, arch::rotary_tensors(false, false, true)};
  return architecture;
}

}  // namespace assay
