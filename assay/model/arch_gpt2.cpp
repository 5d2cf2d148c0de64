// GPT-2: layer norm, learned positions, one matrix for q, k and v, GELU, biases everywhere. Its Hugging Face matrices are transposed (Conv1D).
#include "assay/model/arch_common.h"

namespace assay {
namespace {

Result<Hyper> parse(const Metadata& metadata) {
  ASSAY_ASSIGN(Hyper hyper, arch::parse_common(metadata, "gpt2"));
  hyper.norm = NormKind::kLayer;
  hyper.mlp = MlpKind::kGelu;
  hyper.fused_qkv = hyper.learned_positions = hyper.attention_bias = hyper.output_bias = true;
  ASSAY_ASSIGN(hyper.norm_eps, arch::KeyReader(metadata, "gpt2").real_or("attention.layer_norm_epsilon", 1e-5));
  return hyper;
}

Result<Metadata> hf_metadata(const nlohmann::json& config) {
  const auto activation = config.value("activation_function", std::string("gelu_new"));
  if (activation != "gelu_new" && activation != "gelu_pytorch_tanh") {
    return fail(ErrorCode::kUnsupported, {"config.json: field 'activation_function'", "is '" + activation + "'", "gelu_new is supported for gpt2", ""});
  }
  Metadata metadata;
  ASSAY_ASSIGN(const uint64_t layers, arch::config_size(config, "n_layer"));
  ASSAY_ASSIGN(const uint64_t width, arch::config_size(config, "n_embd"));
  ASSAY_ASSIGN(const uint64_t heads, arch::config_size(config, "n_head"));
  ASSAY_ASSIGN(const uint64_t context, arch::config_size(config, "n_positions"));
  ASSAY_ASSIGN(const uint64_t vocab, arch::config_size(config, "vocab_size"));
  const auto set_size = [&](const char* key, uint64_t value) { metadata.set(key, MetaValue::u32(static_cast<uint32_t>(value))); };
  metadata.set("general.architecture", MetaValue::string("gpt2"));
  set_size("gpt2.block_count", layers);
  set_size("gpt2.context_length", context);
  set_size("gpt2.embedding_length", width);
  set_size("gpt2.feed_forward_length", arch::config_size_or(config, "n_inner", 4 * width));
  set_size("gpt2.attention.head_count", heads);
  set_size("gpt2.vocab_size", vocab);
  metadata.set("gpt2.attention.layer_norm_epsilon", MetaValue::f32(static_cast<float>(arch::config_real_or(config, "layer_norm_epsilon", 1e-5))));
  return metadata;
}

std::vector<HfTensorRule> tensors() {
  const auto t = HfTransform::kTranspose;
  return {
      {"token_embd.weight", "transformer.wte.weight"},
      {"position_embd.weight", "transformer.wpe.weight"},
      {"blk.{}.attn_norm.weight", "transformer.h.{}.ln_1.weight"},
      {"blk.{}.attn_norm.bias", "transformer.h.{}.ln_1.bias"},
      {"blk.{}.attn_qkv.weight", "transformer.h.{}.attn.c_attn.weight", t},
      {"blk.{}.attn_qkv.bias", "transformer.h.{}.attn.c_attn.bias"},
      {"blk.{}.attn_output.weight", "transformer.h.{}.attn.c_proj.weight", t},
      {"blk.{}.attn_output.bias", "transformer.h.{}.attn.c_proj.bias"},
      {"blk.{}.ffn_norm.weight", "transformer.h.{}.ln_2.weight"},
      {"blk.{}.ffn_norm.bias", "transformer.h.{}.ln_2.bias"},
      {"blk.{}.ffn_up.weight", "transformer.h.{}.mlp.c_fc.weight", t},
      {"blk.{}.ffn_up.bias", "transformer.h.{}.mlp.c_fc.bias"},
      {"blk.{}.ffn_down.weight", "transformer.h.{}.mlp.c_proj.weight", t},
      {"blk.{}.ffn_down.bias", "transformer.h.{}.mlp.c_proj.bias"},
      {"output_norm.weight", "transformer.ln_f.weight"},
      {"output_norm.bias", "transformer.ln_f.bias"},
      {"output.weight", "lm_head.weight"},
  };
}

}  // namespace

const Architecture& gpt2_architecture() {
  static const Architecture architecture = {"gpt2", {"GPT2LMHeadModel"}, parse, hf_metadata, tensors()};
  return architecture;
}

}  // namespace assay
