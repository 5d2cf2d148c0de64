// Llama 2 and 3, Mistral, SmolLM: RMS norm, interleaved rotary embedding, gated SiLU; biases where the checkpoint has them.
#include "assay/model/arch_common.h"
#include "assay/model/hf_config.h"

namespace assay {
namespace {

Result<Hyper> parse(const Metadata& metadata) { return arch::parse_rotary(metadata, "llama", RopeKind::kInterleaved); }

Result<Metadata> hf_metadata(const nlohmann::json& config) { return hf::rotary_metadata(config, {"llama"}); }

}  // namespace

const Architecture& llama_architecture() {
  static const Architecture architecture = {"llama",
                                            {"LlamaForCausalLM", "MistralForCausalLM", "llama", "mistral"},
                                            parse,
                                            hf_metadata,
                                            hf::rotary_tensors({.permute = true, .qkv_bias = true, .output_bias = true, .mlp_bias = true})};
  return architecture;
}

}  // namespace assay
