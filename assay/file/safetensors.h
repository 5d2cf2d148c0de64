// safetensors files and Hugging Face model directories, read. Bad files: every case S1-S30 has a test.
// Non-goals: mapping names to GGUF names (model/hf_import.h), tokenizers (text/).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/byte_source.h"

namespace assay {

// dtype by the file's own name: "F32", "F16", "BF16", "F64", "I64", ... (unknown ones are refused by name).
struct SafetensorInfo {
  std::string name;
  std::string dtype;
  std::vector<uint64_t> shape;  // row-major, outermost first
  uint64_t begin = 0;           // absolute byte range in the file
  uint64_t end = 0;
  uint32_t shard = 0;
};

class Safetensors {
 public:
  static Result<Safetensors> parse(std::shared_ptr<ByteSource> source);
  // model.safetensors, or model.safetensors.index.json with its shards (all in `directory`).
  static Result<Safetensors> open_directory(const std::string& directory);

  const std::vector<SafetensorInfo>& tensors() const { return tensors_; }
  const SafetensorInfo* find(std::string_view name) const;
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  Status read(const SafetensorInfo& tensor, uint64_t begin, std::span<std::byte> out) const;
  std::span<const std::byte> view(const SafetensorInfo& tensor) const;
  std::vector<std::string> paths() const;
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  std::vector<std::shared_ptr<ByteSource>> shards_;
  std::vector<SafetensorInfo> tensors_;
  std::unordered_map<std::string, size_t> index_;
  std::map<std::string, std::string> metadata_;
  std::vector<std::string> warnings_;
};

// A Hugging Face model directory: the texts of its JSON files (empty where absent) and its tensors.
// Refused by name: a config.json with `quantization_config`; no config.json; no safetensors (pytorch_model.bin is named).
struct HfDirectory {
  std::string path;
  std::string config_json;
  std::string tokenizer_json;
  std::string tokenizer_config_json;
  std::string vocab_json;
  std::string merges_txt;
  std::string generation_config_json;
  std::string chat_template;
  Safetensors tensors;

  // A directory, or a .safetensors file beside its config.json.
  static Result<HfDirectory> open(const std::string& path);
};

}  // namespace assay
