#include "assay/model/hf_import.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numbers>
#include <set>
#include <unordered_map>

#include "assay/base/text.h"
#include "assay/quant/codec.h"
#include "assay/text/tokenizer.h"

namespace assay {
namespace {

struct Source {
  const SafetensorInfo* tensor = nullptr;  // null: `generated`
  HfTransform transform = HfTransform::kCopy;
  std::vector<float> generated;
};

Result<GgmlType> type_of(const SafetensorInfo& tensor) {
  if (tensor.dtype == "F32") return GgmlType::kF32;
  if (tensor.dtype == "F16") return GgmlType::kF16;
  if (tensor.dtype == "BF16") return GgmlType::kBF16;
  return fail(ErrorCode::kUnsupported, {"safetensors: tensor '" + printable(tensor.name) + "'", "has dtype " + printable(tensor.dtype), "F32, F16 or BF16 is needed", "a quantized checkpoint?"});
}

std::string with_block(std::string_view pattern, int block) {
  const size_t at = pattern.find("{}");
  if (at == std::string_view::npos) return std::string(pattern);
  return std::string(pattern.substr(0, at)) + std::to_string(block) + std::string(pattern.substr(at + 2));
}

class HfCheckpoint final : public Checkpoint {
 public:
  static Result<std::shared_ptr<const Checkpoint>> open(const std::string& path);

  const Metadata& metadata() const override { return metadata_; }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  const TensorInfo* find(std::string_view name) const override {
    const auto found = index_.find(std::string(name));
    return found == index_.end() ? nullptr : &tensors_[found->second];
  }
  Result<std::vector<std::byte>> read(const TensorInfo& tensor) const override;
  std::vector<std::string> paths() const override { return paths_; }
  std::vector<std::string> warnings() const override { return warnings_; }
  uint64_t file_bytes() const override { return file_bytes_; }

 private:
  Status add_tensors(const Architecture& architecture, int layers, bool tied);
  Status add(const HfTensorRule& rule, int block, std::set<std::string>& used);
  Status add_rope_factors(const nlohmann::json& config);
  void insert(TensorInfo info, Source source);

  HfDirectory directory_;
  Metadata metadata_;
  std::vector<TensorInfo> tensors_;
  std::vector<Source> sources_;
  std::unordered_map<std::string, size_t> index_;
  std::vector<std::string> paths_, warnings_;
  uint64_t head_dim_ = 0;
  uint64_t file_bytes_ = 0;
};

Result<std::shared_ptr<const Checkpoint>> HfCheckpoint::open(const std::string& path) {
  auto checkpoint = std::make_shared<HfCheckpoint>();
  ASSAY_ASSIGN(checkpoint->directory_, HfDirectory::open(path));
  const HfDirectory& directory = checkpoint->directory_;
  const auto config = nlohmann::json::parse(directory.config_json, nullptr, false);
  if (!config.is_object()) return fail(ErrorCode::kBadInput, {directory.path + "/config.json", "is not a JSON object", "", ""});
  const auto names = config.find("architectures");
  if (names == config.end() || !names->is_array() || names->empty() || !(*names)[0].is_string())
    return fail(ErrorCode::kNotFound, {directory.path + "/config.json: field 'architectures'", "is missing", "it names the model class", ""});
  ASSAY_ASSIGN(const Architecture* architecture, find_hf_architecture((*names)[0].get<std::string>()));
  ASSAY_ASSIGN(checkpoint->metadata_, architecture->hf_metadata(config));
  ASSAY_ASSIGN(const Metadata tokenizer, tokenizer_metadata(directory, config.value("vocab_size", uint64_t{0})));
  for (const Metadata::Entry& entry : tokenizer.entries()) checkpoint->metadata_.set(entry.key, entry.value);
  const bool tied = config.value("tie_word_embeddings", architecture->name == "gpt2");
  ASSAY_ASSIGN(const Hyper hyper, parse_hyper(checkpoint->metadata_, !tied));
  checkpoint->head_dim_ = static_cast<uint64_t>(hyper.head_dim);
  ASSAY_TRY(checkpoint->add_tensors(*architecture, hyper.layers, tied));
  ASSAY_TRY(checkpoint->add_rope_factors(config));
  checkpoint->paths_ = directory.tensors.paths();
  checkpoint->paths_.insert(checkpoint->paths_.begin(), directory.path + "/config.json");
  for (const std::string& warning : directory.tensors.warnings()) checkpoint->warnings_.push_back(warning);
  for (const SafetensorInfo& tensor : directory.tensors.tensors()) checkpoint->file_bytes_ += tensor.end - tensor.begin;
  return std::shared_ptr<const Checkpoint>(std::move(checkpoint));
}

void HfCheckpoint::insert(TensorInfo info, Source source) {
  index_[info.name] = tensors_.size();
  tensors_.push_back(std::move(info));
  sources_.push_back(std::move(source));
}

Status HfCheckpoint::add(const HfTensorRule& rule, int block, std::set<std::string>& used) {
  std::string name = with_block(rule.hf, block);
  const SafetensorInfo* tensor = directory_.tensors.find(name);
  // Checkpoints saved from the bare model lack the "transformer." prefix.
  if (tensor == nullptr && name.starts_with("transformer.")) tensor = directory_.tensors.find(name = name.substr(12));
  if (tensor == nullptr) return {};  // what is missing is named when the model is checked against its architecture
  used.insert(name);
  ASSAY_ASSIGN(const GgmlType stored, type_of(*tensor));
  TensorInfo info;
  info.name = with_block(rule.gguf, block);
  std::vector<uint64_t> dims(tensor->shape.rbegin(), tensor->shape.rend());
  if (rule.transform == HfTransform::kTranspose) std::reverse(dims.begin(), dims.end());
  if (dims.empty() || dims.size() > 2) {
    return fail(ErrorCode::kBadInput, {"safetensors: tensor '" + printable(name) + "'", "has rank " + std::to_string(dims.size()), "1 or 2 is needed", ""});
  }
  // As the converters do: vectors, and position tables, are float32.
  info.type = dims.size() == 1 || role_of(info.name).role == Role::kPositionEmbd ? GgmlType::kF32 : stored;
  info.n_dims = static_cast<uint32_t>(dims.size());
  std::copy(dims.begin(), dims.end(), info.dims.begin());
  if (rule.transform == HfTransform::kPermuteHeads && (head_dim_ == 0 || dims.back() % head_dim_ != 0)) {
    return fail(ErrorCode::kMismatch, {"safetensors: tensor '" + printable(name) + "'", "has " + group_digits(dims.back()) + " rows", "a multiple of the head size " + std::to_string(head_dim_) + " is needed", ""});
  }
  ASSAY_ASSIGN(info.bytes, tensor_bytes(info.type, {info.dims.data(), info.n_dims}, info.name));
  insert(std::move(info), Source{tensor, rule.transform, {}});
  return {};
}

Status HfCheckpoint::add_tensors(const Architecture& architecture, int layers, bool tied) {
  std::set<std::string> used;
  const auto in_block = [](const HfTensorRule& rule) { return rule.gguf.find("{}") != std::string::npos; };
  for (const HfTensorRule& rule : architecture.hf_tensors)
    if (!in_block(rule) && rule.gguf.starts_with("token_embd")) ASSAY_TRY(add(rule, 0, used));
  for (const HfTensorRule& rule : architecture.hf_tensors)
    if (!in_block(rule) && rule.gguf.starts_with("position_embd")) ASSAY_TRY(add(rule, 0, used));
  for (int block = 0; block < layers; ++block)
    for (const HfTensorRule& rule : architecture.hf_tensors)
      if (in_block(rule)) ASSAY_TRY(add(rule, block, used));
  for (const HfTensorRule& rule : architecture.hf_tensors) {
    if (in_block(rule) || !rule.gguf.starts_with("output")) continue;
    if (rule.gguf == "output.weight" && tied) {
      used.insert(rule.hf);  // a repeated copy of the embedding
      continue;
    }
    ASSAY_TRY(add(rule, 0, used));
  }
  for (const SafetensorInfo& tensor : directory_.tensors.tensors()) {
    const std::string_view name = tensor.name;
    // Buffers that older transformers saved: causal masks and rotary frequencies.
    if (used.contains(tensor.name) || name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias") || name.ends_with("rotary_emb.inv_freq")) continue;
    return fail(ErrorCode::kMismatch, {"safetensors: tensor '" + printable(name) + "'", "belongs to no " + std::string(architecture.name) + " model of " + std::to_string(layers) + " layers", "", "another architecture, or a wrong num_hidden_layers"});
  }
  return {};
}

Status HfCheckpoint::add_rope_factors(const nlohmann::json& config) {
  for (const char* field : {"rope_scaling", "rope_parameters"}) {
    const auto scaling = config.find(field);
    if (scaling == config.end() || !scaling->is_object() || scaling->value("rope_type", scaling->value("type", std::string())) != "llama3") continue;
    Source source;
    const double base = config.value("rope_theta", scaling->value("rope_theta", 10000.0));
    source.generated = llama3_rope_factors(base, head_dim_, scaling->value("factor", 8.0), scaling->value("low_freq_factor", 1.0), scaling->value("high_freq_factor", 4.0),
                                           scaling->value("original_max_position_embeddings", 8192.0));
    TensorInfo info;
    info.name = "rope_freqs.weight";
    info.dims[0] = head_dim_ / 2;
    info.bytes = head_dim_ / 2 * sizeof(float);
    insert(std::move(info), std::move(source));
    return {};
  }
  return {};
}

Result<std::vector<std::byte>> HfCheckpoint::read(const TensorInfo& tensor) const {
  const auto found = index_.find(tensor.name);
  if (found == index_.end()) return fail(ErrorCode::kNotFound, {directory_.path, "has no tensor '" + printable(tensor.name) + "'", "", ""});
  const Source& source = sources_[found->second];
  if (source.tensor == nullptr) {
    const auto bytes = std::as_bytes(std::span(source.generated));
    return std::vector<std::byte>(bytes.begin(), bytes.end());
  }
  std::vector<std::byte> stored(source.tensor->end - source.tensor->begin);
  ASSAY_TRY(directory_.tensors.read(*source.tensor, 0, stored));
  ASSAY_ASSIGN(const GgmlType type, type_of(*source.tensor));
  if (source.transform != HfTransform::kCopy) {
    const uint64_t element = find_type(type)->block_bytes;
    std::vector<std::byte> turned(stored.size());
    if (source.transform == HfTransform::kPermuteHeads) {
      const uint64_t rows = tensor.dims[tensor.n_dims - 1], row = tensor.elements() / rows * element;  // a bias has rows of one element
      for (uint64_t r = 0; r < rows; ++r)
        std::memcpy(turned.data() + r * row, stored.data() + permuted_row(r, head_dim_) * row, row);
    } else {
      const uint64_t in = tensor.dims[0], out = tensor.dims[1];
      for (uint64_t i = 0; i < in; ++i)
        for (uint64_t o = 0; o < out; ++o) std::memcpy(turned.data() + (o * in + i) * element, stored.data() + (i * out + o) * element, element);
    }
    stored = std::move(turned);
  }
  if (type == tensor.type) return stored;
  std::vector<float> values(tensor.elements());
  ASSAY_TRY(decode(type, stored, tensor.row_length(), values));
  const auto bytes = std::as_bytes(std::span(values));
  return std::vector<std::byte>(bytes.begin(), bytes.end());
}

}  // namespace

uint64_t permuted_row(uint64_t row, uint64_t head_dim) {
  const uint64_t head = row / head_dim, inside = row % head_dim;
  return head * head_dim + (inside % 2) * (head_dim / 2) + inside / 2;
}

std::vector<float> llama3_rope_factors(double base, uint64_t dims, double factor, double low_frequency_factor, double high_frequency_factor,
                                       double original_context) {
  std::vector<float> factors;
  for (uint64_t i = 0; i < dims / 2; ++i) {
    const double wavelength = 2 * std::numbers::pi * std::pow(base, 2.0 * static_cast<double>(i) / static_cast<double>(dims));
    double divisor = 1;
    if (wavelength > original_context / low_frequency_factor) {
      divisor = factor;
    } else if (wavelength > original_context / high_frequency_factor) {
      const double smooth = (original_context / wavelength - low_frequency_factor) / (high_frequency_factor - low_frequency_factor);
      divisor = 1 / ((1 - smooth) / factor + smooth);
    }
    factors.push_back(static_cast<float>(divisor));
  }
  return factors;
}

Result<std::shared_ptr<const Checkpoint>> open_hf_checkpoint(const std::string& path) { return HfCheckpoint::open(path); }

}  // namespace assay
