#include "assay/model/arch_common.h"

#include <algorithm>
#include <cmath>

#include "assay/base/text.h"

namespace assay::arch {
namespace {

// Far above every known model, and small enough that products of two fit 64 bits.
constexpr int kMaxLayers = 10000;
constexpr int kMaxWidth = 1 << 24;
constexpr int kMaxVocab = 1 << 24;
constexpr int kMaxContext = 1 << 28;

Status read_heads(const KeyReader& keys, Hyper& hyper) {
  ASSAY_ASSIGN(hyper.heads, keys.positive("attention.head_count", kMaxWidth));
  ASSAY_ASSIGN(hyper.kv_heads, keys.positive_or("attention.head_count_kv", kMaxWidth, hyper.heads));
  if (hyper.heads % hyper.kv_heads != 0) {
    return keys.wrong("attention.head_count_kv", "is " + std::to_string(hyper.kv_heads),
                      "it must divide the " + std::to_string(hyper.heads) + " heads");
  }
  if (!keys.has("attention.key_length") && hyper.d_model % hyper.heads != 0) {
    return keys.wrong("attention.head_count", "is " + std::to_string(hyper.heads),
                      "it must divide the embedding length " + std::to_string(hyper.d_model));
  }
  ASSAY_ASSIGN(hyper.head_dim, keys.positive_or("attention.key_length", kMaxWidth, hyper.d_model / hyper.heads));
  ASSAY_ASSIGN(const int value_dim, keys.positive_or("attention.value_length", kMaxWidth, hyper.head_dim));
  if (value_dim == hyper.head_dim) return {};
  return fail(ErrorCode::kUnsupported, {"model: key '" + keys.key("attention.value_length") + "'", "is " + std::to_string(value_dim),
                                        "value heads as long as key heads (" + std::to_string(hyper.head_dim) + ") are supported", ""});
}

// The extra magnitude of yarn, 0.1 ln(factor) + 1, divided by the same with a multiplier where the file gives one.
Result<double> yarn_magnitude(const KeyReader& keys, double factor) {
  const double log_factor = 0.1 * std::log(std::max(factor, 1.0));
  if (!keys.has("rope.scaling.yarn_log_multiplier")) return 1 + log_factor;
  ASSAY_ASSIGN(const double multiplier, keys.real_or("rope.scaling.yarn_log_multiplier", 1));
  return (1 + log_factor) / (1 + multiplier * log_factor);
}

Status read_rope_scaling(const KeyReader& keys, Hyper& hyper) {
  RopeScaling& scaling = hyper.scaling;
  ASSAY_ASSIGN(const double old_factor, keys.real_or("rope.scale_linear", 1));
  ASSAY_ASSIGN(scaling.factor, keys.real_or("rope.scaling.factor", old_factor));
  ASSAY_ASSIGN(const double magnitude, keys.real_or("rope.scaling.attn_factor", 1));
  ASSAY_ASSIGN(const double more_magnitude, keys.real_or("rope.scaling.yarn_attn_factor", 1));
  scaling.magnitude = magnitude * more_magnitude;
  ASSAY_ASSIGN(const std::string kind, keys.text_or("rope.scaling.type", "linear"));
  if (kind == "linear" || kind == "none") {
    scaling.kind = kind == "linear" && scaling.factor != 1 ? RopeScaling::Kind::kLinear : RopeScaling::Kind::kNone;
    return {};
  }
  if (kind != "yarn") {
    return fail(ErrorCode::kUnsupported, {"model: key '" + keys.key("rope.scaling.type") + "'", "is '" + printable(kind) + "'",
                                          "none, linear or yarn is supported", ""});
  }
  scaling.kind = RopeScaling::Kind::kYarn;
  ASSAY_ASSIGN(const double mix, keys.real_or("rope.scaling.yarn_ext_factor", 1));
  if (mix != 1) return keys.wrong("rope.scaling.yarn_ext_factor", "is " + std::to_string(mix), "1 is supported");
  ASSAY_ASSIGN(const int original, keys.positive_or("rope.scaling.original_context_length", kMaxContext, hyper.context));
  scaling.original_context = static_cast<uint64_t>(original);
  ASSAY_ASSIGN(scaling.beta_fast, keys.real_or("rope.scaling.yarn_beta_fast", 32));
  ASSAY_ASSIGN(scaling.beta_slow, keys.real_or("rope.scaling.yarn_beta_slow", 1));
  ASSAY_ASSIGN(const double yarn, yarn_magnitude(keys, scaling.factor));
  scaling.magnitude *= yarn;
  return {};
}

}  // namespace

tl::unexpected<Error> KeyReader::wrong(std::string_view name, std::string found, std::string needed) const {
  return fail(ErrorCode::kBadInput, {"model: key '" + key(name) + "'", std::move(found), std::move(needed), "corrupt metadata?"});
}

Result<int> KeyReader::positive(std::string_view name, int limit) const {
  ASSAY_ASSIGN(const auto value, metadata_.get_u64(key(name)));
  if (!value) {
    return fail(ErrorCode::kNotFound, {"model: key '" + key(name) + "'", "is missing", "architecture '" + architecture_ + "' needs it",
                                       "not a model of this kind?"});
  }
  if (*value == 0 || *value > static_cast<uint64_t>(limit))
    return wrong(name, "is " + group_digits(*value), "1 to " + group_digits(static_cast<uint64_t>(limit)) + " is possible");
  return static_cast<int>(*value);
}

Result<int> KeyReader::positive_or(std::string_view name, int limit, int fallback) const {
  return has(name) ? positive(name, limit) : Result<int>(fallback);
}

Result<double> KeyReader::real_or(std::string_view name, double fallback) const {
  ASSAY_ASSIGN(const auto value, metadata_.get_f64(key(name)));
  if (value && !(std::isfinite(*value) && *value > 0))
    return wrong(name, "is " + std::to_string(*value), "a finite number above 0 is needed");
  return value.value_or(fallback);
}

Result<std::string> KeyReader::text_or(std::string_view name, std::string fallback) const {
  ASSAY_ASSIGN(const auto value, metadata_.get_string(key(name)));
  return value.value_or(std::move(fallback));
}

Result<Hyper> parse_common(const Metadata& metadata, std::string_view architecture) {
  const KeyReader keys(metadata, architecture);
  Hyper hyper;
  hyper.architecture = architecture;
  ASSAY_ASSIGN(hyper.layers, keys.positive("block_count", kMaxLayers));
  ASSAY_ASSIGN(hyper.d_model, keys.positive("embedding_length", kMaxWidth));
  ASSAY_ASSIGN(hyper.d_ff, keys.positive("feed_forward_length", kMaxWidth));
  ASSAY_ASSIGN(hyper.context, keys.positive("context_length", kMaxContext));
  ASSAY_TRY(read_heads(keys, hyper));
  if (keys.has("expert_count")) {
    ASSAY_ASSIGN(const auto experts, metadata.get_u64(keys.key("expert_count")));
    if (experts.value_or(0) > 0) {
      return fail(ErrorCode::kUnsupported, {"model: key '" + keys.key("expert_count") + "'", "is " + group_digits(*experts),
                                            "models without mixture of experts are supported", ""});
    }
  }
  ASSAY_ASSIGN(hyper.rope_dims, keys.positive_or("rope.dimension_count", kMaxWidth, hyper.head_dim));
  if (hyper.rope_dims > hyper.head_dim) {
    return keys.wrong("rope.dimension_count", "is " + std::to_string(hyper.rope_dims),
                      "at most the head size " + std::to_string(hyper.head_dim) + " is possible");
  }
  ASSAY_ASSIGN(hyper.rope_base, keys.real_or("rope.freq_base", 10000));
  ASSAY_TRY(read_rope_scaling(keys, hyper));
  ASSAY_ASSIGN(hyper.sliding_window, keys.positive_or("attention.sliding_window", kMaxContext, 0));
  // As llama.cpp: the token list decides, its own key only where there is no list.
  ASSAY_ASSIGN(const StringList* tokens, metadata.get_strings("tokenizer.ggml.tokens"));
  if (tokens != nullptr && tokens->size() > 0 && tokens->size() <= kMaxVocab) {
    hyper.vocab = static_cast<int>(tokens->size());
  } else {
    ASSAY_ASSIGN(hyper.vocab, keys.positive("vocab_size", kMaxVocab));
  }
  return hyper;
}

Result<Hyper> parse_rotary(const Metadata& metadata, std::string_view architecture, RopeKind pairs) {
  ASSAY_ASSIGN(Hyper hyper, parse_common(metadata, architecture));
  const KeyReader keys(metadata, architecture);
  hyper.rope = pairs;
  if (hyper.rope_dims % 2 != 0)
    return keys.wrong("rope.dimension_count", "is " + std::to_string(hyper.rope_dims),
                      "rotary embedding turns pairs: an even number is needed");
  ASSAY_ASSIGN(hyper.norm_eps, keys.real_or("attention.layer_norm_rms_epsilon", 1e-5));
  return hyper;
}

}  // namespace assay::arch
