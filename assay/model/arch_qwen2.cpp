// Qwen 2 and 2.5: as llama, with half-split rotary embedding and biases on q, k and v.
#include "assay/model/arch_common.h"

namespace assay {
namespace {

Result<Hyper> parse(const Metadata& metadata) {
  ASSAY_ASSIGN(Hyper hyper, arch::parse_common(metadata, "qwen2"));
  hyper.rope = RopeKind::kHalfSplit;
  hyper.attention_bias = true;
  ASSAY_ASSIGN(hyper.norm_eps, arch::KeyReader(metadata, "qwen2").real_or("attention.layer_norm_rms_epsilon", 1e-6));
  return hyper;
}

Result<Metadata> hf_metadata(const nlohmann::json& config) { return arch::rotary_metadata(config, "qwen2"); }

}  // namespace

const Architecture& qwen2_architecture() {
  static const Architecture architecture = {"qwen2", {"Qwen2ForCausalLM"}, parse, hf_metadata, arch::rotary_tensors(false, true, false)};
  return architecture;
}

}  // namespace assay
