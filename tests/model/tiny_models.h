// Small models for the tests of model/: metadata of each family, GGUF files of random weights, Hugging Face directories.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "assay/base/random.h"
#include "assay/model/architecture.h"
#include "assay/model/checkpoint.h"
#include "tests/file/raw_safetensors.h"
#include "tests/file/test_files.h"

namespace assay::tiny {

using nlohmann::json;

// Vocabulary 24, width 32, 3 blocks, 4 heads of 8 (2 of keys and values except gpt2), MLP 48, context 1024.
inline Metadata metadata(const std::string& architecture) {
  Metadata m;
  const auto size = [&](const char* key, uint32_t value) { m.set(architecture + "." + key, MetaValue::u32(value)); };
  m.set("general.architecture", MetaValue::string(architecture));
  size("block_count", 3);
  size("context_length", 1024);
  size("embedding_length", 32);
  size("feed_forward_length", 48);
  size("attention.head_count", 4);
  if (architecture != "gpt2") size("attention.head_count_kv", 2);
  m.set(architecture + (architecture == "gpt2" ? ".attention.layer_norm_epsilon" : ".attention.layer_norm_rms_epsilon"),
        MetaValue::f32(1e-5f));
  size("vocab_size", 24);
  return m;
}

inline std::vector<TensorInfo> tensors_of(const Hyper& hyper) {
  std::vector<TensorInfo> tensors;
  for (const TensorSpec& spec : expected_tensors(hyper)) {
    if (!spec.required) continue;
    TensorInfo info;
    info.name = spec.name;
    info.n_dims = static_cast<uint32_t>(spec.dims.size());
    std::copy(spec.dims.begin(), spec.dims.end(), info.dims.begin());
    tensors.push_back(info);
  }
  return tensors;
}

// Value i of a tensor: normal, wide enough to matter; norms around 1. A function of name and index only.
inline float weight(const std::string& name, uint64_t i) {
  const float value = static_cast<float>(CounterRandom(std::hash<std::string>()(name), i).next_normal());
  return name.find("norm.weight") != std::string::npos ? 1 + 0.1f * value : 0.2f * value;
}

// Writes `path` with float32 tensors; `change` may alter them before they are written.
inline void write_gguf_model(const std::string& path, const Metadata& metadata, const std::vector<TensorInfo>& tensors,
                             const std::function<void(const TensorInfo&, std::span<float>)>& change = {}) {
  const auto fill = [&](const TensorInfo& tensor, std::span<std::byte> out) -> Status {
    const std::span<float> values(reinterpret_cast<float*>(out.data()), out.size() / sizeof(float));
    for (uint64_t i = 0; i < values.size(); ++i) values[i] = weight(tensor.name, i);
    if (change) change(tensor, values);
    return {};
  };
  const auto written = write_gguf(path, metadata, tensors, fill, {});
  ASSERT_TRUE(written) << written.error().message;
}

// A byte-level vocabulary of 24 one-letter tokens.
inline json tokenizer() {
  json vocab = json::object();
  for (int i = 0; i < 24; ++i) vocab[std::string(1, static_cast<char>('a' + i))] = i;
  return {{"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", json::array()}}}, {"pre_tokenizer", {{"type", "ByteLevel"}}}};
}

// Hugging Face tensors: name -> shape, F32; value i of a tensor is weight(name, i).
using HfTensors = std::map<std::string, std::vector<uint64_t>>;

inline json llama_config() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"vocab_size", 24},
          {"hidden_size", 32},
          {"intermediate_size", 48},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"max_position_embeddings", 128},
          {"rms_norm_eps", 1e-5},
          {"hidden_act", "silu"},
          {"tie_word_embeddings", false}};
}

inline HfTensors llama_tensors() {
  HfTensors tensors = {{"model.embed_tokens.weight", {24, 32}}, {"model.norm.weight", {32}}, {"lm_head.weight", {24, 32}}};
  for (const std::string block : {"model.layers.0.", "model.layers.1."}) {
    const std::pair<const char*, std::vector<uint64_t>> parts[] = {
        {"input_layernorm", {32}},      {"post_attention_layernorm", {32}}, {"self_attn.q_proj", {32, 32}},
        {"self_attn.k_proj", {16, 32}}, {"self_attn.v_proj", {16, 32}},     {"self_attn.o_proj", {32, 32}},
        {"mlp.gate_proj", {48, 32}},    {"mlp.up_proj", {48, 32}},          {"mlp.down_proj", {32, 48}}};
    for (const auto& [name, shape] : parts) tensors[block + name + ".weight"] = shape;
  }
  return tensors;
}

inline json gpt2_config() {
  return {{"architectures", {"GPT2LMHeadModel"}},
          {"model_type", "gpt2"},
          {"vocab_size", 24},
          {"n_embd", 32},
          {"n_layer", 1},
          {"n_head", 4},
          {"n_positions", 64},
          {"n_inner", nullptr},
          {"activation_function", "gelu_new"}};
}

inline HfTensors gpt2_tensors() {
  HfTensors tensors = {{"transformer.wte.weight", {24, 32}},
                       {"transformer.wpe.weight", {64, 32}},
                       {"transformer.ln_f.weight", {32}},
                       {"transformer.ln_f.bias", {32}}};
  const std::pair<const char*, std::vector<uint64_t>> parts[] = {
      {"ln_1", {32}},          {"ln_2", {32}},           {"attn.c_attn", {32, 96}}, {"attn.c_proj", {32, 32}},
      {"mlp.c_fc", {32, 128}}, {"mlp.c_proj", {128, 32}}};
  for (const auto& [name, shape] : parts) {
    tensors["transformer.h.0." + std::string(name) + ".weight"] = shape;
    tensors["transformer.h.0." + std::string(name) + ".bias"] = {shape.back()};
  }
  return tensors;
}

inline uint64_t elements(const std::vector<uint64_t>& shape) {
  uint64_t n = 1;
  for (const uint64_t dim : shape) n *= dim;
  return n;
}

inline void write_hf_model(const std::filesystem::path& directory, const json& config, const HfTensors& tensors,
                           const json& vocabulary = tokenizer()) {
  std::filesystem::create_directories(directory);
  testing_files::put_file((directory / "config.json").string(), config.dump());
  testing_files::put_file((directory / "tokenizer.json").string(), vocabulary.dump());
  json header = json::object();
  std::string data;
  for (const auto& [name, shape] : tensors) {
    const size_t begin = data.size();
    for (uint64_t i = 0; i < elements(shape); ++i) {
      const float value = weight(name, i);
      data.append(reinterpret_cast<const char*>(&value), sizeof(value));
    }
    header[name] = {{"dtype", "F32"}, {"shape", shape}, {"data_offsets", {begin, data.size()}}};
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  testing_files::put_file((directory / "model.safetensors").string(), testing_files::raw_safetensors(text, data));
}

}  // namespace assay::tiny
