#include "assay/model/hf_config.h"

#include <algorithm>
#include <cmath>

#include "assay/base/text.h"

namespace assay::hf {
std::string shown(const nlohmann::json& value) {
  return printable(value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), 60);
}

const nlohmann::json* ConfigReader::find(std::string_view field) const {
  const auto found = object_.find(field);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

std::string ConfigReader::name_of(std::string_view field) const {
  return "config.json: field '" + (where_.empty() ? "" : where_ + ".") + std::string(field) + "'";
}

Result<uint64_t> ConfigReader::size(std::string_view field) const {
  const nlohmann::json* value = find(field);
  if (value == nullptr) return fail(ErrorCode::kNotFound, {name_of(field), "is missing", "this model family needs it", ""});
  if (!value->is_number_unsigned() || value->get<uint64_t>() == 0 || value->get<uint64_t>() > UINT32_MAX)
    return fail(ErrorCode::kBadInput, {name_of(field), "is " + shown(*value), "a whole number from 1 to 4,294,967,295 is needed", ""});
  return value->get<uint64_t>();
}

Result<uint64_t> ConfigReader::size_or(std::string_view field, uint64_t fallback) const {
  return has(field) ? size(field) : Result<uint64_t>(fallback);
}

Result<double> ConfigReader::real_or(std::string_view field, double fallback) const {
  const nlohmann::json* value = find(field);
  if (value == nullptr) return fallback;
  if (!value->is_number() || !std::isfinite(value->get<double>()) || !(value->get<double>() > 0))
    return fail(ErrorCode::kBadInput, {name_of(field), "is " + shown(*value), "a finite number above 0 is needed", ""});
  return value->get<double>();
}

Result<bool> ConfigReader::flag_or(std::string_view field, bool fallback) const {
  const nlohmann::json* value = find(field);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) return fail(ErrorCode::kBadInput, {name_of(field), "is " + shown(*value), "true or false is needed", ""});
  return value->get<bool>();
}

Result<std::string> ConfigReader::text_or(std::string_view field, std::string fallback) const {
  const nlohmann::json* value = find(field);
  if (value == nullptr) return fallback;
  if (!value->is_string()) return fail(ErrorCode::kBadInput, {name_of(field), "is " + shown(*value), "a text is needed", ""});
  return value->get<std::string>();
}

Status ConfigReader::must_be(std::string_view field, const nlohmann::json& needed) const {
  const nlohmann::json* value = find(field);
  if (value == nullptr || *value == needed) return {};
  return fail(ErrorCode::kUnsupported, {name_of(field), "is " + shown(*value), shown(needed) + " is supported", ""});
}

Result<RopeConfig> rope_config(const ConfigReader& config) {
  RopeConfig rope;
  ASSAY_ASSIGN(rope.base, config.real_or("rope_theta", 10000));
  ASSAY_ASSIGN(rope.original_context, config.size_or("max_position_embeddings", 0));
  for (const char* field : {"rope_scaling", "rope_parameters"}) {
    const nlohmann::json* object = config.find(field);
    if (object == nullptr) continue;
    if (!object->is_object()) return fail(ErrorCode::kBadInput, {config.name_of(field), "is not an object", "", ""});
    const ConfigReader scaling(*object, field);
    ASSAY_ASSIGN(rope.base, scaling.real_or("rope_theta", rope.base));
    ASSAY_ASSIGN(const std::string old_name, scaling.text_or("type", "default"));
    ASSAY_ASSIGN(rope.kind, scaling.text_or("rope_type", old_name));
    if (rope.kind == "default") continue;
    if (rope.kind != "linear" && rope.kind != "llama3" && rope.kind != "yarn") {
      return fail(ErrorCode::kUnsupported,
                  {scaling.name_of("rope_type"), "is '" + printable(rope.kind) + "'", "default, linear, llama3 or yarn is supported", ""});
    }
    ASSAY_TRY(scaling.must_be("partial_rotary_factor", 1.0));
    ASSAY_TRY(scaling.must_be("truncate", true));
    ASSAY_ASSIGN(rope.factor, scaling.real_or("factor", 1));
    ASSAY_ASSIGN(rope.low_frequency_factor, scaling.real_or("low_freq_factor", 1));
    ASSAY_ASSIGN(rope.high_frequency_factor, scaling.real_or("high_freq_factor", 4));
    ASSAY_ASSIGN(rope.beta_fast, scaling.real_or("beta_fast", 32));
    ASSAY_ASSIGN(rope.beta_slow, scaling.real_or("beta_slow", 1));
    ASSAY_ASSIGN(rope.original_context, scaling.size_or("original_max_position_embeddings", rope.original_context));
    if (scaling.has("attention_factor")) {
      ASSAY_ASSIGN(rope.attention_factor, scaling.real_or("attention_factor", 1));
    } else if (scaling.has("mscale") && scaling.has("mscale_all_dim")) {
      ASSAY_ASSIGN(const double scale, scaling.real_or("mscale", 1));
      ASSAY_ASSIGN(const double all, scaling.real_or("mscale_all_dim", 1));
      const double log_factor = 0.1 * std::log(std::max(rope.factor, 1.0));
      rope.attention_factor = (1 + scale * log_factor) / (1 + all * log_factor);
    }
  }
  return rope;
}

namespace {

// Whether some block of the model has a sliding window (Qwen: those from max_window_layers on, or as layer_types lists).
Result<bool> some_block_slides(const ConfigReader& config, uint64_t layers) {
  ASSAY_ASSIGN(const bool used, config.flag_or("use_sliding_window", false));
  if (!used) return false;
  if (const nlohmann::json* types = config.find("layer_types"); types != nullptr && types->is_array())
    return std::find(types->begin(), types->end(), "sliding_attention") != types->end();
  const nlohmann::json* whole = config.find("max_window_layers");
  return whole == nullptr || !whole->is_number_unsigned() || whole->get<uint64_t>() < layers;
}

}  // namespace

Result<Metadata> rotary_metadata(const nlohmann::json& json, const RotaryFamily& family) {
  const ConfigReader config(json);
  Metadata metadata;
  const std::string prefix = std::string(family.architecture) + ".";
  const auto set_size = [&](const char* key, uint64_t value) { metadata.set(prefix + key, MetaValue::u32(static_cast<uint32_t>(value))); };
  const auto set_real = [&](const char* key, double value) { metadata.set(prefix + key, MetaValue::f32(static_cast<float>(value))); };
  ASSAY_TRY(config.must_be("hidden_act", "silu"));
  ASSAY_TRY(config.must_be("partial_rotary_factor", 1.0));
  ASSAY_ASSIGN(const uint64_t layers, config.size("num_hidden_layers"));
  ASSAY_ASSIGN(const uint64_t width, config.size("hidden_size"));
  ASSAY_ASSIGN(const uint64_t ffn, config.size("intermediate_size"));
  ASSAY_ASSIGN(const uint64_t heads, config.size("num_attention_heads"));
  ASSAY_ASSIGN(const uint64_t kv_heads, config.size_or("num_key_value_heads", heads));
  ASSAY_ASSIGN(const uint64_t context, config.size("max_position_embeddings"));
  ASSAY_ASSIGN(const uint64_t vocab, config.size("vocab_size"));
  ASSAY_ASSIGN(const uint64_t head_dim,
               config.size_or("head_dim", family.default_head_dim != 0 ? family.default_head_dim : std::max<uint64_t>(1, width / heads)));
  ASSAY_ASSIGN(const double eps, config.real_or("rms_norm_eps", 1e-6));
  ASSAY_ASSIGN(const RopeConfig rope, rope_config(config));

  metadata.set("general.architecture", MetaValue::string(std::string(family.architecture)));
  set_size("block_count", layers);
  set_size("context_length", context);
  set_size("embedding_length", width);
  set_size("feed_forward_length", ffn);
  set_size("attention.head_count", heads);
  set_size("attention.head_count_kv", kv_heads);
  set_size("attention.key_length", head_dim);
  set_size("attention.value_length", head_dim);
  set_real("attention.layer_norm_rms_epsilon", eps);
  set_size("vocab_size", vocab);
  set_size("rope.dimension_count", head_dim);
  set_real("rope.freq_base", rope.base);

  bool slides = config.has("sliding_window");
  if (slides && family.window_by_flag) {
    ASSAY_ASSIGN(slides, some_block_slides(config, layers));
  }
  if (slides) {
    ASSAY_ASSIGN(const uint64_t window, config.size("sliding_window"));
    set_size("attention.sliding_window", window);
  }
  // llama3 scaling is a tensor of divisors (hf_import.cpp).
  if (rope.kind == "linear" || rope.kind == "yarn") {
    metadata.set(prefix + "rope.scaling.type", MetaValue::string(rope.kind));
    set_real("rope.scaling.factor", rope.factor);
  }
  if (rope.kind == "yarn") {
    set_size("rope.scaling.original_context_length", rope.original_context);
    if (rope.beta_fast != 32) set_real("rope.scaling.yarn_beta_fast", rope.beta_fast);
    if (rope.beta_slow != 1) set_real("rope.scaling.yarn_beta_slow", rope.beta_slow);
    // GGUF states the factor on top of yarn's own.
    if (rope.attention_factor > 0)
      set_real("rope.scaling.attn_factor", rope.attention_factor / (1 + 0.1 * std::log(std::max(rope.factor, 1.0))));
  }
  return metadata;
}

std::vector<HfTensorRule> rotary_tensors(const RotaryTensors& with) {
  const HfTransform heads = with.permute ? HfTransform::kPermuteHeads : HfTransform::kCopy;
  std::vector<HfTensorRule> rules = {
      {"token_embd.weight", "model.embed_tokens.weight"},
      {"output_norm.weight", "model.norm.weight"},
      {"output.weight", "lm_head.weight"},
  };
  const auto add = [&](const std::string& gguf, const std::string& hf, HfTransform transform = HfTransform::kCopy) {
    rules.push_back({"blk.{}." + gguf, "model.layers.{}." + hf, transform});
  };
  const auto add_linear = [&](const std::string& gguf, const std::string& hf, bool bias, HfTransform transform = HfTransform::kCopy) {
    add(gguf + ".weight", hf + ".weight", transform);
    if (bias) add(gguf + ".bias", hf + ".bias", transform);
  };
  add("attn_norm.weight", "input_layernorm.weight");
  add_linear("attn_q", "self_attn.q_proj", with.qkv_bias, heads);
  add_linear("attn_k", "self_attn.k_proj", with.qkv_bias, heads);
  add_linear("attn_v", "self_attn.v_proj", with.qkv_bias);
  if (with.qk_norm) {
    add("attn_q_norm.weight", "self_attn.q_norm.weight");
    add("attn_k_norm.weight", "self_attn.k_norm.weight");
  }
  add_linear("attn_output", "self_attn.o_proj", with.output_bias);
  add("ffn_norm.weight", "post_attention_layernorm.weight");
  add_linear("ffn_gate", "mlp.gate_proj", with.mlp_bias);
  add_linear("ffn_up", "mlp.up_proj", with.mlp_bias);
  add_linear("ffn_down", "mlp.down_proj", with.mlp_bias);
  return rules;
}

}  // namespace assay::hf
