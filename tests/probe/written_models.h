// Models on disk for the tests of write_variant.h: 3 blocks of width 256 (4 heads of 64, 2 of keys and values), MLP 512, vocabulary 24, a
// type per role: attn_q Q4_K, attn_k Q8_0, attn_v TQ1_0, attn_output Q6_K, ffn_gate F16, ffn_up F32, ffn_down IQ2_S, embedding BF16.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "assay/probe/variant_io.h"
#include "assay/probe/write_variant.h"
#include "assay/quant/codec.h"
#include "tests/model/tiny_models.h"

namespace assay::written_models {

inline GgmlType type_of(const TensorInfo& tensor) {
  if (tensor.n_dims < 2) return GgmlType::kF32;
  static const std::pair<const char*, GgmlType> kTypes[] = {
      {"attn_qkv", GgmlType::kQ4_K}, {"attn_q", GgmlType::kQ4_K},      {"attn_k", GgmlType::kQ8_0},
      {"attn_v", GgmlType::kTQ1_0},  {"attn_output", GgmlType::kQ6_K}, {"ffn_gate", GgmlType::kF16},
      {"ffn_up", GgmlType::kF32},    {"ffn_down", GgmlType::kIQ2_S},   {"token_embd", GgmlType::kBF16}};
  for (const auto& [part, type] : kTypes)
    if (tensor.name.find(part) != std::string::npos) return type;
  return GgmlType::kF32;
}

inline Metadata metadata(const std::string& architecture) {
  Metadata keys = tiny::metadata(architecture);
  keys.set(architecture + ".embedding_length", MetaValue::u32(256));
  keys.set(architecture + ".feed_forward_length", MetaValue::u32(512));
  keys.set(architecture + ".context_length", MetaValue::u32(64));
  keys.set(architecture + ".one_per_block", MetaValue::i32s({10, 11, 12}));
  keys.set("general.name", MetaValue::string("small"));
  keys.set("general.file_type", MetaValue::u32(15));
  keys.set("tokenizer.ggml.token_type", MetaValue::i32s({1, 2, 3}));
  return keys;
}

// Weights are tiny::weight of `salt` and the name.
inline std::shared_ptr<const Checkpoint> make(const std::string& path, const std::string& architecture = "llama",
                                              const std::string& salt = "") {
  const Metadata keys = metadata(architecture);
  std::vector<TensorInfo> tensors = tiny::tensors_of(parse_hyper(keys, true).value());
  for (TensorInfo& tensor : tensors) tensor.type = type_of(tensor);
  const auto fill = [&](const TensorInfo& tensor, std::span<std::byte> out) -> Status {
    std::vector<float> values(tensor.elements());
    for (uint64_t i = 0; i < values.size(); ++i) values[i] = tiny::weight(salt + tensor.name, i);
    return encode(tensor.type, values, tensor.row_length(), out);
  };
  const auto written = write_gguf(path, keys, tensors, fill, {});
  EXPECT_TRUE(written) << written.error().message;
  auto opened = Checkpoint::open(path);
  EXPECT_TRUE(opened);
  return opened ? *opened : nullptr;
}

inline Variant variant(const std::string& text) {
  auto parsed = parse_variants("[" + text + "]", VariantFormat::kJson, "test");
  EXPECT_TRUE(parsed) << parsed.error().message;
  Variant made = parsed ? parsed->variants.at(0) : Variant();
  if (made.name.empty()) made.name = "v";
  return made;
}

inline std::vector<std::byte> bytes_of(const Checkpoint& model, const std::string& tensor) {
  const TensorInfo* info = model.find(tensor);
  EXPECT_NE(info, nullptr) << tensor;
  return info == nullptr ? std::vector<std::byte>() : model.read(*info).value();
}

// Without a look at NaN.
inline std::vector<float> values_of(const Checkpoint& model, const std::string& tensor) {
  const TensorInfo* info = model.find(tensor);
  EXPECT_NE(info, nullptr) << tensor;
  if (info == nullptr) return {};
  std::vector<float> values(info->elements());
  EXPECT_TRUE(decode(info->type, model.read(*info).value(), info->row_length(), values));
  return values;
}

}  // namespace assay::written_models
