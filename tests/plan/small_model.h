// A small GGUF model on disk for the tests of plan/: a llama of a few blocks with normal weights, in any plain type.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "assay/base/random.h"
#include "assay/file/imatrix.h"
#include "assay/model/checkpoint.h"
#include "assay/quant/codec.h"
#include "tests/file/test_files.h"

namespace assay::small_model {

struct Shape {
  uint32_t blocks = 2;
  uint64_t width = 256, ffn = 512, vocab = 40;
  GgmlType type = GgmlType::kF16;
  bool tied = false;
};

inline Metadata metadata(const Shape& shape) {
  Metadata result;
  result.set("general.architecture", MetaValue::string("llama"));
  result.set("general.file_type", MetaValue::u32(1));
  result.set("llama.block_count", MetaValue::u32(shape.blocks));
  result.set("llama.embedding_length", MetaValue::u32(static_cast<uint32_t>(shape.width)));
  result.set("llama.attention.head_count", MetaValue::u32(8));
  result.set("llama.attention.head_count_kv", MetaValue::u32(8));
  return result;
}

inline std::vector<TensorInfo> tensors(const Shape& shape) {
  std::vector<TensorInfo> list;
  const auto add = [&](const std::string& name, uint64_t row, uint64_t rows) {
    TensorInfo tensor;
    tensor.name = name;
    tensor.n_dims = rows == 0 ? 1 : 2;
    tensor.type = rows == 0 ? GgmlType::kF32 : shape.type;
    tensor.dims = {row, std::max<uint64_t>(1, rows), 1, 1};
    list.push_back(tensor);
  };
  add("token_embd.weight", shape.width, shape.vocab);
  for (uint32_t block = 0; block < shape.blocks; ++block) {
    const std::string prefix = "blk." + std::to_string(block) + ".";
    add(prefix + "attn_norm.weight", shape.width, 0);
    for (const char* part : {"attn_q", "attn_k", "attn_v", "attn_output"}) add(prefix + part + ".weight", shape.width, 32);
    add(prefix + "ffn_up.weight", shape.width, 48);
    add(prefix + "ffn_down.weight", shape.ffn, 32);
  }
  add("output_norm.weight", shape.width, 0);
  if (!shape.tied) add("output.weight", shape.width, shape.vocab);
  return list;
}

// The weights of a tensor: normal, a function of its name alone.
inline std::vector<float> weights(const TensorInfo& tensor) {
  CounterRandom random(std::hash<std::string>()(tensor.name), 1);
  std::vector<float> values(tensor.elements());
  for (float& value : values) value = static_cast<float>(0.02 * random.next_normal());
  return values;
}

using Changes = std::map<std::string, std::vector<float>>;  // tensors with other weights

inline TensorFiller filler(const Changes& changes = {}) {
  return [changes](const TensorInfo& tensor, std::span<std::byte> out) -> Status {
    const auto changed = changes.find(tensor.name);
    const std::vector<float> values = changed == changes.end() ? weights(tensor) : changed->second;
    if (tensor.type == GgmlType::kF32) {  // as it is, NaN included
      std::memcpy(out.data(), values.data(), out.size());
      return {};
    }
    return encode(tensor.type, values, tensor.row_length(), out);
  };
}

inline void write(const std::string& path, const Metadata& keys, const std::vector<TensorInfo>& list, const Changes& changes = {}) {
  GgufWriteOptions options;
  options.force = true;
  const auto written = write_gguf(path, keys, list, filler(changes), options);
  ASSERT_TRUE(written) << written.error().message;
}

inline std::shared_ptr<const Checkpoint> open(const std::string& path) {
  auto checkpoint = Checkpoint::open(path);
  EXPECT_TRUE(checkpoint) << (checkpoint ? "" : checkpoint.error().message);
  return checkpoint ? *checkpoint : nullptr;
}

inline std::shared_ptr<const Checkpoint> make(const std::string& path, const Shape& shape = {}, const Changes& changes = {}) {
  write(path, metadata(shape), tensors(shape), changes);
  return open(path);
}

// An entry per matrix of the blocks, column j seen with mean square 1 + j.
inline Imatrix imatrix(const Shape& shape) {
  Imatrix result;
  for (const TensorInfo& tensor : tensors(shape)) {
    if (!tensor.name.starts_with("blk.") || tensor.n_dims < 2) continue;
    ImatrixEntry& entry = result.entries[tensor.name];
    entry.columns = tensor.row_length();
    entry.counts = {2};
    for (uint64_t j = 0; j < entry.columns; ++j) entry.sums.push_back(2 * static_cast<float>(1 + j));
  }
  result.datasets = {"text.txt"};
  result.chunk_count = 7;
  return result;
}

}  // namespace assay::small_model
