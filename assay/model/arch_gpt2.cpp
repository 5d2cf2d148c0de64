// GPT-2: layer norm, learned positions, one matrix for q, k and v, GELU, biases everywhere. Its Hugging Face matrices are transposed
// (Conv1D).
#include "assay/model/arch_common.h"
#include "assay/model/hf_config.h"

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

Result<Metadata> hf_metadata(const nlohmann::json& json) {
  const hf::ConfigReader config(json);
  ASSAY_ASSIGN(const std::string activation, config.text_or("activation_function", "gelu_new"));
  if (activation != "gelu_pytorch_tanh") ASSAY_TRY(config.must_be("activation_function", "gelu_new"));
  ASSAY_TRY(config.must_be("scale_attn_weights", true));
  ASSAY_TRY(config.must_be("scale_attn_by_inverse_layer_idx", false));
  ASSAY_TRY(config.must_be("add_cross_attention", false));
  ASSAY_ASSIGN(const uint64_t layers, config.size("n_layer"));
  ASSAY_ASSIGN(const uint64_t width, config.size("n_embd"));
  ASSAY_ASSIGN(const uint64_t ffn, config.size_or("n_inner", 4 * width));
  ASSAY_ASSIGN(const uint64_t heads, config.size("n_head"));
  ASSAY_ASSIGN(const uint64_t context, config.size("n_positions"));
  ASSAY_ASSIGN(const uint64_t vocab, config.size("vocab_size"));
  ASSAY_ASSIGN(const double eps, config.real_or("layer_norm_epsilon", 1e-5));
  Metadata metadata;
  const auto set_size = [&](const char* key, uint64_t value) { metadata.set(key, MetaValue::u32(static_cast<uint32_t>(value))); };
  metadata.set("general.architecture", MetaValue::string("gpt2"));
  set_size("gpt2.block_count", layers);
  set_size("gpt2.context_length", context);
  set_size("gpt2.embedding_length", width);
  set_size("gpt2.feed_forward_length", ffn);
  set_size("gpt2.attention.head_count", heads);
  metadata.set("gpt2.attention.layer_norm_epsilon", MetaValue::f32(static_cast<float>(eps)));
  set_size("gpt2.vocab_size", vocab);
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
  static const Architecture architecture = {"gpt2", {"GPT2LMHeadModel", "gpt2"}, parse, hf_metadata, tensors()};
  return architecture;
}

}  // namespace assay
