#include "assay/model/arch_common.h"

#include <cmath>

#include "assay/base/text.h"

namespace assay::arch {
namespace {

constexpr int kMaxLayers = 4096;
constexpr int kMaxWidth = 1 << 20;
constexpr int kMaxVocab = 1 << 24;
constexpr int kMaxContext = 1 << 28;

std::string in_config(std::string_view field) { return "config.json: field '" + std::string(field) + "'"; }

}  // namespace

Result<int> KeyReader::positive(std::string_view name, int limit) const {
  const std::string key = prefix_ + "." + std::string(name);
  ASSAY_ASSIGN(const auto value, metadata_.get_u64(key));
  if (!value) return fail(ErrorCode::kNotFound, {"model: metadata key '" + key + "'", "is missing", "this architecture needs it", ""});
  if (*value == 0 || *value > static_cast<uint64_t>(limit)) {
    return fail(ErrorCode::kBadInput,
                {"model: metadata key '" + key + "'", "is " + group_digits(*value), "1 to " + group_digits(static_cast<uint64_t>(limit)) + " is needed", "corrupt metadata"});
  }
  return static_cast<int>(*value);
}

Result<int> KeyReader::positive_or(std::string_view name, int limit, int fallback) const {
  if (!metadata_.contains(prefix_ + "." + std::string(name))) return fallback;
  return positive(name, limit);
}

Result<double> KeyReader::real_or(std::string_view name, double fallback) const {
  const std::string key = prefix_ + "." + std::string(name);
  ASSAY_ASSIGN(const auto value, metadata_.get_f64(key));
  if (value && !std::isfinite(*value)) return fail(ErrorCode::kBadInput, {"model: metadata key '" + key + "'", "is not finite", "", "corrupt metadata"});
  return value.value_or(fallback);
}

Result<std::string> KeyReader::text_or(std::string_view name, std::string fallback) const {
  ASSAY_ASSIGN(const auto value, metadata_.get_string(prefix_ + "." + std::string(name)));
  return value.value_or(std::move(fallback));
}

Result<Hyper> parse_common(const Metadata& metadata, std::string_view name) {
  const KeyReader keys(metadata, std::string(name));
  Hyper hyper;
  hyper.architecture = name;
  ASSAY_ASSIGN(hyper.layers, keys.positive("block_count", kMaxLayers));
  ASSAY_ASSIGN(hyper.d_model, keys.positive("embedding_length", kMaxWidth));
  ASSAY_ASSIGN(hyper.d_ff, keys.positive("feed_forward_length", kMaxWidth));
  ASSAY_ASSIGN(hyper.context, keys.positive("context_length", kMaxContext));
  ASSAY_ASSIGN(hyper.heads, keys.positive("attention.head_count", kMaxWidth));
  ASSAY_ASSIGN(hyper.kv_heads, keys.positive_or("attention.head_count_kv", kMaxWidth, hyper.heads));
  if (hyper.heads % hyper.kv_heads != 0) {
    return fail(ErrorCode::kBadInput, {"model: " + std::to_string(hyper.heads) + " heads", "are not a multiple of " + std::to_string(hyper.kv_heads) + " key/value heads", "", "corrupt metadata"});
  }
  int default_head_dim = 0;
  if (!metadata.contains(std::string(name) + ".attention.key_length")) {
    if (hyper.d_model % hyper.heads != 0) {
      return fail(ErrorCode::kBadInput, {"model: embedding length " + std::to_string(hyper.d_model), "is not a multiple of " + std::to_string(hyper.heads) + " heads", "", "corrupt metadata"});
    }
    default_head_dim = hyper.d_model / hyper.heads;
  }
  ASSAY_ASSIGN(hyper.head_dim, keys.positive_or("attention.key_length", kMaxWidth, default_head_dim));
  ASSAY_ASSIGN(const int value_dim, keys.positive_or("attention.value_length", kMaxWidth, hyper.head_dim));
  if (value_dim != hyper.head_dim) {
    return fail(ErrorCode::kUnsupported, {"model: value heads of " + std::to_string(value_dim), "differ from key heads of " + std::to_string(hyper.head_dim), "equal sizes are supported", ""});
  }
  ASSAY_ASSIGN(hyper.rope_dims, keys.positive_or("rope.dimension_count", kMaxWidth, hyper.head_dim));
  if (hyper.rope_dims > hyper.head_dim || hyper.rope_dims % 2 != 0) {
    return fail(ErrorCode::kBadInput, {"model: rope.dimension_count " + std::to_string(hyper.rope_dims), "does not fit heads of " + std::to_string(hyper.head_dim), "an even number up to the head size is needed", ""});
  }
  ASSAY_ASSIGN(hyper.rope_base, keys.real_or("rope.freq_base", 10000.0));
  ASSAY_ASSIGN(hyper.sliding_window, keys.positive_or("attention.sliding_window", kMaxContext, 0));
  ASSAY_ASSIGN(const std::string scaling, keys.text_or("rope.scaling.type", "none"));
  ASSAY_ASSIGN(hyper.scaling.factor, keys.real_or("rope.scaling.factor", 1.0));
  if (scaling == "linear") {
    hyper.scaling.kind = RopeScaling::Kind::kLinear;
  } else if (scaling == "yarn") {
    hyper.scaling.kind = RopeScaling::Kind::kYarn;
    ASSAY_ASSIGN(const int original, keys.positive_or("rope.scaling.original_context_length", kMaxContext, hyper.context));
    hyper.scaling.original_context = static_cast<uint64_t>(original);
    ASSAY_ASSIGN(hyper.scaling.attention_factor, keys.real_or("rope.scaling.attn_factor", 0.0));
    ASSAY_ASSIGN(hyper.scaling.beta_fast, keys.real_or("rope.scaling.yarn_beta_fast", 32.0));
    ASSAY_ASSIGN(hyper.scaling.beta_slow, keys.real_or("rope.scaling.yarn_beta_slow", 1.0));
  } else if (scaling != "none") {
    return fail(ErrorCode::kUnsupported, {"model: rope.scaling.type '" + printable(scaling) + "'", "is not supported", "none, linear or yarn", ""});
  }
  if (!(hyper.rope_base > 0) || !(hyper.scaling.factor > 0)) return fail(ErrorCode::kBadInput, "model: RoPE base and scaling factor must be positive (corrupt metadata)");
  // The vocabulary: its own key, or the token list.
  ASSAY_ASSIGN(const StringList* tokens, metadata.get_strings("tokenizer.ggml.tokens"));
  const int listed = tokens != nullptr ? static_cast<int>(std::min<size_t>(tokens->size(), kMaxVocab)) : 0;
  ASSAY_ASSIGN(hyper.vocab, keys.positive_or("vocab_size", kMaxVocab, listed));
  if (hyper.vocab <= 0) return fail(ErrorCode::kNotFound, "model: neither a vocabulary nor its size is in the metadata");
  return hyper;
}

Result<uint64_t> config_size(const nlohmann::json& config, std::string_view field) {
  const auto found = config.find(std::string(field));
  if (found == config.end() || found->is_null()) return fail(ErrorCode::kNotFound, {in_config(field), "is missing", "this model family needs it", ""});
  if (!found->is_number_unsigned()) return fail(ErrorCode::kBadInput, {in_config(field), "is " + found->dump().substr(0, 40), "a whole number is needed", ""});
  return found->get<uint64_t>();
}

uint64_t config_size_or(const nlohmann::json& config, std::string_view field, uint64_t fallback) {
  return config_size(config, field).value_or(fallback);
}

double config_real_or(const nlohmann::json& config, std::string_view field, double fallback) {
  const auto found = config.find(std::string(field));
  return found != config.end() && found->is_number() ? found->get<double>() : fallback;
}

Result<Metadata> rotary_metadata(const nlohmann::json& config, std::string_view name) {
  Metadata metadata;
  const auto set_size = [&](std::string_view key, uint64_t value) { metadata.set(std::string(name) + "." + std::string(key), MetaValue::u32(static_cast<uint32_t>(value))); };
  const auto set_real = [&](std::string_view key, double value) { metadata.set(std::string(name) + "." + std::string(key), MetaValue::f32(static_cast<float>(value))); };
  const auto set_text = [&](std::string_view key, const char* value) { metadata.set(std::string(name) + "." + std::string(key), MetaValue::string(value)); };
  metadata.set("general.architecture", MetaValue::string(std::string(name)));
  ASSAY_ASSIGN(const uint64_t layers, config_size(config, "num_hidden_layers"));
  ASSAY_ASSIGN(const uint64_t width, config_size(config, "hidden_size"));
  ASSAY_ASSIGN(const uint64_t ffn, config_size(config, "intermediate_size"));
  ASSAY_ASSIGN(const uint64_t heads, config_size(config, "num_attention_heads"));
  ASSAY_ASSIGN(const uint64_t vocab, config_size(config, "vocab_size"));
  if (heads == 0) return fail(ErrorCode::kBadInput, {in_config("num_attention_heads"), "is 0", "", ""});
  const uint64_t head_dim = config_size_or(config, "head_dim", width / heads);
  set_size("block_count", layers);
  set_size("context_length", config_size_or(config, "max_position_embeddings", 2048));
  set_size("embedding_length", width);
  set_size("feed_forward_length", ffn);
  set_size("attention.head_count", heads);
  set_size("attention.head_count_kv", config_size_or(config, "num_key_value_heads", heads));
  set_real("rope.freq_base", config_real_or(config, "rope_theta", 10000.0));
  set_real("attention.layer_norm_rms_epsilon", config_real_or(config, "rms_norm_eps", 1e-6));
  set_size("attention.key_length", head_dim);
  set_size("attention.value_length", head_dim);
  set_size("vocab_size", vocab);
  set_size("rope.dimension_count", head_dim);
  if (config.value("use_sliding_window", true)) {
    if (const uint64_t window = config_size_or(config, "sliding_window", 0)) set_size("attention.sliding_window", window);
  }
  // Scaling stands in rope_scaling, or since transformers 5 in rope_parameters, which also holds the base.
  for (const char* field : {"rope_scaling", "rope_parameters"}) {
    const auto scaling = config.find(field);
    if (scaling == config.end() || !scaling->is_object()) continue;
    if (scaling->contains("rope_theta")) set_real("rope.freq_base", config_real_or(*scaling, "rope_theta", 10000.0));
    const std::string kind = scaling->value("rope_type", scaling->value("type", std::string("default")));
    if (kind == "default" || kind == "llama3") continue;  // llama3: its factors are a tensor (hf_import.cpp)
    if (kind != "linear" && kind != "yarn") {
      return fail(ErrorCode::kUnsupported, {in_config(field), "asks for '" + printable(kind) + "'", "default, linear, llama3 or yarn", ""});
    }
    set_text("rope.scaling.type", kind.c_str());
    set_real("rope.scaling.factor", config_real_or(*scaling, "factor", 1.0));
    if (kind == "yarn") {
      set_size("rope.scaling.original_context_length", config_size_or(*scaling, "original_max_position_embeddings", config_size_or(config, "max_position_embeddings", 2048)));
      if (scaling->contains("attention_factor")) set_real("rope.scaling.attn_factor", config_real_or(*scaling, "attention_factor", 0));
      set_real("rope.scaling.yarn_beta_fast", config_real_or(*scaling, "beta_fast", 32));
      set_real("rope.scaling.yarn_beta_slow", config_real_or(*scaling, "beta_slow", 1));
    }
  }
  return metadata;
}

std::vector<HfTensorRule> rotary_tensors(bool permute, bool qkv_bias, bool qk_norm) {
  const HfTransform heads = permute ? HfTransform::kPermuteHeads : HfTransform::kCopy;
  std::vector<HfTensorRule> rules = {
      {"token_embd.weight", "model.embed_tokens.weight"},
      {"blk.{}.attn_norm.weight", "model.layers.{}.input_layernorm.weight"},
      {"blk.{}.attn_q.weight", "model.layers.{}.self_attn.q_proj.weight", heads, false},
      {"blk.{}.attn_k.weight", "model.layers.{}.self_attn.k_proj.weight", heads, true},
      {"blk.{}.attn_v.weight", "model.layers.{}.self_attn.v_proj.weight"},
      {"blk.{}.attn_output.weight", "model.layers.{}.self_attn.o_proj.weight"},
      {"blk.{}.ffn_norm.weight", "model.layers.{}.post_attention_layernorm.weight"},
      {"blk.{}.ffn_gate.weight", "model.layers.{}.mlp.gate_proj.weight"},
      {"blk.{}.ffn_up.weight", "model.layers.{}.mlp.up_proj.weight"},
      {"blk.{}.ffn_down.weight", "model.layers.{}.mlp.down_proj.weight"},
      {"output_norm.weight", "model.norm.weight"},
      {"output.weight", "lm_head.weight"},
  };
  if (qkv_bias) {
    rules.push_back({"blk.{}.attn_q.bias", "model.layers.{}.self_attn.q_proj.bias", heads, false});
    rules.push_back({"blk.{}.attn_k.bias", "model.layers.{}.self_attn.k_proj.bias", heads, true});
    rules.push_back({"blk.{}.attn_v.bias", "model.layers.{}.self_attn.v_proj.bias"});
  }
  if (qk_norm) {
    rules.push_back({"blk.{}.attn_q_norm.weight", "model.layers.{}.self_attn.q_norm.weight"});
    rules.push_back({"blk.{}.attn_k_norm.weight", "model.layers.{}.self_attn.k_norm.weight"});
  }
  return rules;
}

}  // namespace assay::arch
