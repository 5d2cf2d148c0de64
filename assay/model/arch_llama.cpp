// Llama 2 and 3, Mistral, SmolLM: RMS norm, interleaved rotary embedding, gated SiLU.
#include "assay/model/arch_common.h"

namespace assay {
namespace {

Result<Hyper> parse(const Metadata& metadata) {
  ASSAY_ASSIGN(Hyper hyper, arch::parse_common(metadata, "llama"));
  hyper.rope = RopeKind::kInterleaved;
  ASSAY_ASSIGN(hyper.norm_eps, arch::KeyReader(metadata, "llama").real_or("attention.layer_norm_rms_epsilon", 1e-5));
  return hyper;
}

Result<Metadata> hf_metadata(const nlohmann::json& config) { return arch::rotary_metadata(config, "llama"); }

}  // namespace

const Architecture& llama_architecture() {
  static const Architecture architecture = {
      "llama", {"LlamaForCausalLM", "MistralForCausalLM"}, parse, hf_metadata, arch::rotary_tensors(true, true, false)};
  return architecture;
}

}  // namespace assay
