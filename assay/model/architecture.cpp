#include "assay/model/architecture.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "assay/base/text.h"
#include "assay/model/arch_common.h"

namespace assay {
namespace {

std::string known_names() {
  std::vector<std::string> names;
  for (const Architecture& architecture : all_architectures()) names.emplace_back(architecture.name);
  return join(names, ", ");
}

std::string shape_text(std::span<const uint64_t> dims) {
  std::vector<std::string> parts;
  for (const uint64_t dim : dims) parts.push_back(std::to_string(dim));
  return "[" + join(parts, ", ") + "]";
}

}  // namespace

std::span<const Architecture> all_architectures() {
  static const std::vector<Architecture> all = {llama_architecture(), qwen2_architecture(), qwen3_architecture(), gpt2_architecture()};
  return all;
}

Result<const Architecture*> find_architecture(std::string_view name) {
  for (const Architecture& architecture : all_architectures())
    if (architecture.name == name) return &architecture;
  return fail(ErrorCode::kUnsupported,
              {"model: architecture '" + printable(name) + "'", "is not supported", "known: " + known_names(), ""});
}

Result<const Architecture*> find_hf_architecture(std::string_view hf_name) {
  for (const Architecture& architecture : all_architectures())
    for (const std::string_view known : architecture.hf_names)
      if (known == hf_name) return &architecture;
  return fail(ErrorCode::kUnsupported,
              {"config.json: architecture '" + printable(hf_name) + "'", "is not supported", "families: " + known_names(), ""});
}

Result<Hyper> parse_hyper(const Metadata& metadata, bool has_output) {
  ASSAY_ASSIGN(const auto name, metadata.get_string("general.architecture"));
  if (!name)
    return fail(ErrorCode::kNotFound, {"model: key 'general.architecture'", "is missing", "every model file has it", "not a model?"});
  ASSAY_ASSIGN(const Architecture* architecture, find_architecture(*name));
  ASSAY_ASSIGN(Hyper hyper, architecture->parse(metadata));
  hyper.tied = !has_output;
  return hyper;
}

std::vector<TensorSpec> expected_tensors(const Hyper& hyper) {
  const auto size = [](int n) { return static_cast<uint64_t>(n); };
  const uint64_t d = size(hyper.d_model), q = size(hyper.heads) * size(hyper.head_dim), kv = size(hyper.kv_heads) * size(hyper.head_dim);
  const uint64_t ff = size(hyper.d_ff), vocab = size(hyper.vocab);
  const bool layer_norm = hyper.norm == NormKind::kLayer;
  std::vector<TensorSpec> specs;
  const auto add_norm = [&](const std::string& name, uint64_t width, bool bias) {
    specs.push_back({name + ".weight", {width}, true});
    if (bias) specs.push_back({name + ".bias", {width}, true});
  };
  const auto add_matrix = [&](const std::string& name, uint64_t in, uint64_t out, bool bias) {
    specs.push_back({name + ".weight", {in, out}, true});
    specs.push_back({name + ".bias", {out}, bias});
  };
  specs.push_back({"token_embd.weight", {d, vocab}, true});
  if (hyper.learned_positions) specs.push_back({"position_embd.weight", {d, size(hyper.context)}, true});
  if (hyper.rope != RopeKind::kNone) specs.push_back({"rope_freqs.weight", {size(hyper.rope_dims) / 2}, false});
  for (int i = 0; i < hyper.layers; ++i) {
    const std::string block = "blk." + std::to_string(i) + ".";
    add_norm(block + "attn_norm", d, layer_norm);
    if (hyper.fused_qkv) {
      add_matrix(block + "attn_qkv", d, q + 2 * kv, hyper.attention_bias);
    } else {
      add_matrix(block + "attn_q", d, q, hyper.attention_bias);
      add_matrix(block + "attn_k", d, kv, hyper.attention_bias);
      add_matrix(block + "attn_v", d, kv, hyper.attention_bias);
    }
    if (hyper.qk_norm) {
      add_norm(block + "attn_q_norm", size(hyper.head_dim), false);
      add_norm(block + "attn_k_norm", size(hyper.head_dim), false);
    }
    add_matrix(block + "attn_output", q, d, hyper.output_bias);
    add_norm(block + "ffn_norm", d, layer_norm);
    if (hyper.mlp == MlpKind::kSwiGlu) add_matrix(block + "ffn_gate", d, ff, hyper.output_bias);
    add_matrix(block + "ffn_up", d, ff, hyper.output_bias);
    add_matrix(block + "ffn_down", ff, d, hyper.output_bias);
  }
  add_norm("output_norm", d, layer_norm);
  if (!hyper.tied) specs.push_back({"output.weight", {d, vocab}, true});
  return specs;
}

Status check_tensors(const Hyper& hyper, std::span<const TensorInfo> tensors) {
  std::unordered_map<std::string_view, const TensorInfo*> unclaimed;
  for (const TensorInfo& tensor : tensors) unclaimed.emplace(tensor.name, &tensor);
  const auto who = [](std::string_view name) { return "model: tensor '" + printable(name) + "'"; };
  for (const TensorSpec& spec : expected_tensors(hyper)) {
    const auto found = unclaimed.find(spec.name);
    if (found == unclaimed.end()) {
      if (!spec.required) continue;
      return fail(ErrorCode::kNotFound, {who(spec.name), "is missing", hyper.architecture + " needs it with shape " + shape_text(spec.dims),
                                         "incomplete file, or a wrong block count?"});
    }
    const TensorInfo& tensor = *found->second;
    std::array<uint64_t, 4> dims = {1, 1, 1, 1};
    std::copy(spec.dims.begin(), spec.dims.end(), dims.begin());
    if (tensor.dims != dims) {
      return fail(ErrorCode::kMismatch, {who(spec.name), "has shape " + shape_text({tensor.dims.data(), tensor.n_dims}),
                                         "shape " + shape_text(spec.dims) + " is needed", "metadata and tensors disagree"});
    }
    unclaimed.erase(found);
  }
  for (const TensorInfo& tensor : tensors) {
    if (!unclaimed.contains(tensor.name)) continue;
    return fail(ErrorCode::kMismatch,
                {who(tensor.name), "is not part of a " + hyper.architecture + " model of " + std::to_string(hyper.layers) + " blocks", "",
                 "a variant of the architecture that is not supported?"});
  }
  return {};
}

Status check_context(const Hyper& hyper, uint64_t tokens) {
  const auto size = [](int n) { return static_cast<uint64_t>(n); };
  const std::string who = "model: a context of " + group_digits(tokens) + " tokens";
  if (tokens > size(hyper.context))
    return fail(ErrorCode::kUsage, {who, "is beyond the model's " + group_digits(size(hyper.context)), "choose a context within it", ""});
  if (hyper.window_in_some_blocks && hyper.sliding_window > 0 && tokens > size(hyper.sliding_window)) {
    return fail(ErrorCode::kUnsupported, {who,
                                          "is beyond the sliding window of " + group_digits(size(hyper.sliding_window)) +
                                              " tokens that some blocks of " + hyper.architecture + " use",
                                          "choose a context within it", ""});
  }
  return {};
}

}  // namespace assay
