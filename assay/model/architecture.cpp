#include "assay/model/architecture.h"

#include "assay/base/text.h"
#include "assay/model/arch_common.h"

namespace assay {
namespace {

std::string known_names() {
  std::vector<std::string> names;
  for (const Architecture& architecture : all_architectures()) names.emplace_back(architecture.name);
  return join(names, ", ");
}

}  // namespace

std::span<const Architecture> all_architectures() {
  static const std::vector<Architecture> all = {llama_architecture(), qwen2_architecture(), qwen3_architecture(), gpt2_architecture()};
  return all;
}

Result<const Architecture*> find_architecture(std::string_view name) {
  for (const Architecture& architecture : all_architectures())
    if (architecture.name == name) return &architecture;
  return fail(ErrorCode::kUnsupported, {"model: architecture '" + printable(name) + "'", "is not supported", "known: " + known_names(), ""});
}

Result<const Architecture*> find_hf_architecture(std::string_view hf_name) {
  for (const Architecture& architecture : all_architectures())
    for (const std::string_view known : architecture.hf_names)
      if (known == hf_name) return &architecture;
  return fail(ErrorCode::kUnsupported, {"config.json: architecture '" + printable(hf_name) + "'", "is not supported", "families: " + known_names(), ""});
}

Result<Hyper> parse_hyper(const Metadata& metadata, bool has_output) {
  ASSAY_ASSIGN(const auto name, metadata.get_string("general.architecture"));
  if (!name) return fail(ErrorCode::kNotFound, {"model: metadata key 'general.architecture'", "is missing", "every model file has it", "not a model?"});
  ASSAY_ASSIGN(const Architecture* architecture, find_architecture(*name));
  ASSAY_ASSIGN(Hyper hyper, architecture->parse(metadata));
  hyper.tied = !has_output;
  return hyper;
}

std::vector<TensorSpec> expected_tensors(const Hyper& hyper) {
  const auto size = [](int n) { return static_cast<uint64_t>(n); };
  const uint64_t d = size(hyper.d_model), q = size(hyper.heads) * size(hyper.head_dim), kv = size(hyper.kv_heads) * size(hyper.head_dim);
  const uint64_t ff = size(hyper.d_ff), vocab = size(hyper.vocab);
  std::vector<TensorSpec> specs;
  specs.push_back({"token_embd.weight", {d, vocab}, true});
  if (hyper.learned_positions) specs.push_back({"position_embd.weight", {d, size(hyper.context)}, true});
  if (hyper.rope != RopeKind::kNone) specs.push_back({"rope_freqs.weight", {size(hyper.rope_dims) / 2}, false});
  const bool layer_norm = hyper.norm == NormKind::kLayer;
  for (int i = 0; i < hyper.layers; ++i) {
    const std::string block = "blk." + std::to_string(i) + ".";
    const auto add = [&](const char* name, std::vector<uint64_t> dims, bool required = true) { specs.push_back({block + name, std::move(dims), required}); };
    const auto add_matrix = [&](const std::string& name, uint64_t in, uint64_t out, bool bias) {
      specs.push_back({block + name + ".weight", {in, out}, true});
      specs.push_back({block + name + ".bias", {out}, bias});  // llama files may carry attention biases
    };
    add("attn_norm.weight", {d});
    if (layer_norm) add("attn_norm.bias", {d});
    if (hyper.fused_qkv) {
      add_matrix("attn_qkv", d, q + 2 * kv, true);
    } else {
      add_matrix("attn_q", d, q, hyper.attention_bias);
      add_matrix("attn_k", d, kv, hyper.attention_bias);
      add_matrix("attn_v", d, kv, hyper.attention_bias);
    }
    if (hyper.qk_norm) {
      add("attn_q_norm.weight", {size(hyper.head_dim)});
      add("attn_k_norm.weight", {size(hyper.head_dim)});
    }
    add_matrix("attn_output", q, d, hyper.output_bias);
    add("ffn_norm.weight", {d});
    if (layer_norm) add("ffn_norm.bias", {d});
    if (hyper.mlp == MlpKind::kSwiGlu) add_matrix("ffn_gate", d, ff, false);
    add_matrix("ffn_up", d, ff, hyper.output_bias);
    add_matrix("ffn_down", ff, d, hyper.output_bias);
  }
  specs.push_back({"output_norm.weight", {d}, true});
  if (layer_norm) specs.push_back({"output_norm.bias", {d}, true});
  if (!hyper.tied) specs.push_back({"output.weight", {d, vocab}, true});
  return specs;
}

}  // namespace assay
