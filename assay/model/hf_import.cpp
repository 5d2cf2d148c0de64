#include "assay/model/hf_import.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <numbers>
#include <set>
#include <unordered_map>

#include "assay/base/text.h"
#include "assay/file/json_text.h"
#include "assay/file/tensor_role.h"
#include "assay/model/hf_config.h"
#include "assay/quant/codec.h"
#include "assay/text/tokenizer.h"

namespace assay {
namespace {

// Where a GGUF tensor's bytes come from.
struct Source {
  const SafetensorInfo* tensor = nullptr;  // null: `generated`
  HfTransform transform = HfTransform::kCopy;
  std::vector<float> generated;
};

std::string tensor_who(std::string_view name) { return "safetensors: tensor '" + printable(name) + "'"; }

Result<GgmlType> type_of(const SafetensorInfo& tensor) {
  if (tensor.dtype == "F32") return GgmlType::kF32;
  if (tensor.dtype == "F16") return GgmlType::kF16;
  if (tensor.dtype == "BF16") return GgmlType::kBF16;
  return fail(ErrorCode::kUnsupported,
              {tensor_who(tensor.name), "has dtype " + printable(tensor.dtype), "F32, F16 or BF16 is needed", "a quantized checkpoint?"});
}

std::string with_block(std::string_view pattern, int block) {
  const size_t at = pattern.find("{}");
  if (at == std::string_view::npos) return std::string(pattern);
  return std::string(pattern.substr(0, at)) + std::to_string(block) + std::string(pattern.substr(at + 2));
}

// The rule that makes a GGUF tensor, or null.
const HfTensorRule* find_rule(const Architecture& architecture, const std::string& gguf_name) {
  const int block = role_of(gguf_name).layer;
  for (const HfTensorRule& rule : architecture.hf_tensors)
    if (with_block(rule.gguf, block) == gguf_name) return &rule;
  return nullptr;
}

// Buffers that older transformers saved beside the weights: causal masks and rotary frequencies.
bool is_buffer(std::string_view name) {
  return name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias") || name.ends_with("rotary_emb.inv_freq");
}

// [in, out] -> [out, in], in tiles that stay in cache.
template <size_t kBytes>
void transpose(const std::byte* from, size_t in, size_t out, std::byte* to) {
  constexpr size_t kTile = 32;
  for (size_t i0 = 0; i0 < in; i0 += kTile)
    for (size_t o0 = 0; o0 < out; o0 += kTile)
      for (size_t o = o0; o < std::min(out, o0 + kTile); ++o)
        for (size_t i = i0; i < std::min(in, i0 + kTile); ++i)
          std::memcpy(to + (o * in + i) * kBytes, from + (i * out + o) * kBytes, kBytes);
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
  std::vector<std::string> paths() const override;
  std::vector<std::string> warnings() const override { return directory_.tensors.warnings(); }
  uint64_t file_bytes() const override;

 private:
  Status translate(const nlohmann::json& config);
  Status add_tensors(const Architecture& architecture, const Hyper& hyper, const hf::RopeConfig& rope);
  Status add(const HfTensorRule& rule, const TensorSpec& spec, const SafetensorInfo& tensor);
  const SafetensorInfo* find_source(std::string& name) const;
  void insert(TensorInfo info, Source source);

  HfDirectory directory_;
  Metadata metadata_;
  std::vector<TensorInfo> tensors_;
  std::vector<Source> sources_;
  std::unordered_map<std::string, size_t> index_;
  uint64_t head_dim_ = 0;
};

Result<std::shared_ptr<const Checkpoint>> HfCheckpoint::open(const std::string& path) {
  auto checkpoint = std::make_shared<HfCheckpoint>();
  ASSAY_ASSIGN(checkpoint->directory_, HfDirectory::open(path));
  const std::string who = checkpoint->directory_.path + "/config.json";
  ASSAY_ASSIGN(const nlohmann::json config, parse_json(checkpoint->directory_.config_json, who, RepeatedKeys::kLastWins));
  if (!config.is_object()) return fail(ErrorCode::kBadInput, {who, "is not a JSON object", "", ""});
  ASSAY_TRY(checkpoint->translate(config));
  return std::shared_ptr<const Checkpoint>(std::move(checkpoint));
}

Result<const Architecture*> architecture_of(const hf::ConfigReader& config) {
  if (const nlohmann::json* classes = config.find("architectures"); classes != nullptr && !classes->empty()) {
    if (!classes->is_array() || !classes->front().is_string())
      return fail(ErrorCode::kBadInput,
                  {config.name_of("architectures"), "is " + hf::shown(*classes), "a list of class names is needed", ""});
    return find_hf_architecture(classes->front().get<std::string>());
  }
  ASSAY_ASSIGN(const std::string type, config.text_or("model_type", ""));
  if (!type.empty()) return find_hf_architecture(type);
  return fail(ErrorCode::kNotFound,
              {"config.json", "has neither 'architectures' nor 'model_type'", "one of them names the model class", ""});
}

Status HfCheckpoint::translate(const nlohmann::json& json) {
  const hf::ConfigReader config(json);
  ASSAY_ASSIGN(const Architecture* architecture, architecture_of(config));
  ASSAY_ASSIGN(metadata_, architecture->hf_metadata(json));
  const std::string name = std::filesystem::path(directory_.path).lexically_normal().filename().string();
  if (is_valid_utf8(name) && name.size() > 2) metadata_.set("general.name", MetaValue::string(name));
  ASSAY_ASSIGN(const uint64_t vocab, config.size("vocab_size"));
  ASSAY_ASSIGN(const Metadata tokenizer, tokenizer_metadata(directory_, vocab));
  for (const Metadata::Entry& entry : tokenizer.entries()) metadata_.set(entry.key, entry.value);
  ASSAY_ASSIGN(const bool tied, config.flag_or("tie_word_embeddings", architecture->name == "gpt2"));
  ASSAY_ASSIGN(const Hyper hyper, parse_hyper(metadata_, !tied));
  if (static_cast<uint64_t>(hyper.vocab) != vocab) {
    return fail(ErrorCode::kMismatch,
                {"model directory " + directory_.path, "has a tokenizer of " + group_digits(static_cast<uint64_t>(hyper.vocab)) + " tokens",
                 "config.json says vocab_size " + group_digits(vocab), "tokens were added without resizing the model?"});
  }
  head_dim_ = static_cast<uint64_t>(hyper.head_dim);
  ASSAY_ASSIGN(const hf::RopeConfig rope, hf::rope_config(config));
  ASSAY_TRY(add_tensors(*architecture, hyper, rope));
  return check_tensors(hyper, tensors_);
}

// Checkpoints saved from the bare model lack the "transformer." or "model." prefix; `name` becomes the one that is there.
const SafetensorInfo* HfCheckpoint::find_source(std::string& name) const {
  if (const SafetensorInfo* tensor = directory_.tensors.find(name)) return tensor;
  for (const std::string_view prefix : {"transformer.", "model."}) {
    if (!name.starts_with(prefix)) continue;
    const SafetensorInfo* tensor = directory_.tensors.find(std::string_view(name).substr(prefix.size()));
    if (tensor != nullptr) name = tensor->name;
    return tensor;
  }
  return nullptr;
}

Status HfCheckpoint::add_tensors(const Architecture& architecture, const Hyper& hyper, const hf::RopeConfig& rope) {
  std::set<std::string> used;
  if (hyper.tied) used.insert("lm_head.weight");  // a repeated copy of the embedding
  for (const TensorSpec& spec : expected_tensors(hyper)) {
    if (role_of(spec.name).role == Role::kRopeFreqs) {
      if (rope.kind != "llama3") continue;
      TensorInfo info;
      info.name = spec.name;
      info.dims[0] = spec.dims[0];
      info.bytes = spec.dims[0] * sizeof(float);
      insert(std::move(info), Source{nullptr, HfTransform::kCopy, llama3_rope_factors(rope, 2 * spec.dims[0])});
      continue;
    }
    const HfTensorRule* rule = find_rule(architecture, spec.name);
    if (rule == nullptr) continue;  // optional in GGUF, unknown to this family's checkpoints
    std::string name = with_block(rule->hf, role_of(spec.name).layer);
    const SafetensorInfo* tensor = find_source(name);
    if (tensor != nullptr) {
      used.insert(name);
      ASSAY_TRY(add(*rule, spec, *tensor));
    } else if (spec.required) {
      return fail(ErrorCode::kNotFound, {tensor_who(name), "is missing", hyper.architecture + " needs it ('" + spec.name + "')",
                                         "incomplete download, or a config.json of another model?"});
    }
  }
  for (const SafetensorInfo& tensor : directory_.tensors.tensors()) {
    if (used.contains(tensor.name) || is_buffer(tensor.name)) continue;
    return fail(ErrorCode::kMismatch,
                {tensor_who(tensor.name), "belongs to no " + hyper.architecture + " model of " + std::to_string(hyper.layers) + " blocks",
                 "", "another architecture, or a wrong block count in config.json?"});
  }
  return {};
}

Status HfCheckpoint::add(const HfTensorRule& rule, const TensorSpec& spec, const SafetensorInfo& tensor) {
  ASSAY_ASSIGN(const GgmlType stored, type_of(tensor));
  std::vector<uint64_t> dims(tensor.shape.rbegin(), tensor.shape.rend());
  if (rule.transform == HfTransform::kTranspose) std::reverse(dims.begin(), dims.end());
  if (dims != spec.dims) {
    std::vector<std::string> found, needed;
    for (const uint64_t dim : tensor.shape) found.push_back(std::to_string(dim));
    for (const uint64_t dim : spec.dims) needed.push_back(std::to_string(dim));
    if (rule.transform != HfTransform::kTranspose) std::reverse(needed.begin(), needed.end());
    return fail(ErrorCode::kMismatch, {tensor_who(tensor.name), "has shape [" + join(found, ", ") + "]",
                                       "config.json asks for [" + join(needed, ", ") + "]", "a config.json of another model?"});
  }
  TensorInfo info;
  info.name = spec.name;
  // As the converters do: vectors, and position tables, are float32.
  info.type = dims.size() == 1 || role_of(info.name).role == Role::kPositionEmbd ? GgmlType::kF32 : stored;
  info.n_dims = static_cast<uint32_t>(dims.size());
  std::copy(dims.begin(), dims.end(), info.dims.begin());
  ASSAY_ASSIGN(info.bytes, tensor_bytes(info.type, dims, info.name));
  insert(std::move(info), Source{&tensor, rule.transform, {}});
  return {};
}

void HfCheckpoint::insert(TensorInfo info, Source source) {
  index_[info.name] = tensors_.size();
  tensors_.push_back(std::move(info));
  sources_.push_back(std::move(source));
}

Result<std::vector<std::byte>> HfCheckpoint::read(const TensorInfo& tensor) const {
  const auto found = index_.find(tensor.name);
  if (found == index_.end()) return fail(ErrorCode::kNotFound, {directory_.path, "has no tensor '" + printable(tensor.name) + "'", "", ""});
  const TensorInfo& own = tensors_[found->second];
  const Source& source = sources_[found->second];
  if (source.tensor == nullptr) {
    const auto bytes = std::as_bytes(std::span(source.generated));
    return std::vector<std::byte>(bytes.begin(), bytes.end());
  }
  std::vector<std::byte> stored(source.tensor->end - source.tensor->begin);
  ASSAY_TRY(directory_.tensors.read(*source.tensor, 0, stored));
  ASSAY_ASSIGN(const GgmlType type, type_of(*source.tensor));
  if (source.transform != HfTransform::kCopy) {
    std::vector<std::byte> turned(stored.size());
    if (source.transform == HfTransform::kPermuteHeads) {
      const uint64_t rows = own.dims[own.n_dims - 1], row = stored.size() / rows;  // a bias has rows of one element
      for (uint64_t r = 0; r < rows; ++r) std::memcpy(turned.data() + r * row, stored.data() + permuted_row(r, head_dim_) * row, row);
    } else {
      const auto turn = type == GgmlType::kF32 ? transpose<4> : transpose<2>;
      turn(stored.data(), own.dims[0], own.dims[1], turned.data());
    }
    stored = std::move(turned);
  }
  if (type == own.type) return stored;
  std::vector<std::byte> widened(own.elements() * sizeof(float));
  ASSAY_TRY(decode(type, stored, own.row_length(), {reinterpret_cast<float*>(widened.data()), own.elements()}));
  return widened;
}

std::vector<std::string> HfCheckpoint::paths() const {
  std::vector<std::string> paths = directory_.tensors.paths();
  const std::pair<const std::string*, const char*> texts[] = {{&directory_.config_json, "config.json"},
                                                              {&directory_.tokenizer_json, "tokenizer.json"},
                                                              {&directory_.tokenizer_config_json, "tokenizer_config.json"},
                                                              {&directory_.vocab_json, "vocab.json"},
                                                              {&directory_.merges_txt, "merges.txt"}};
  for (const auto& [text, name] : texts)
    if (!text->empty()) paths.push_back(directory_.path + "/" + name);
  return paths;
}

uint64_t HfCheckpoint::file_bytes() const {
  uint64_t total = 0;
  for (const SafetensorInfo& tensor : directory_.tensors.tensors()) total += tensor.end - tensor.begin;
  return total;
}

}  // namespace

uint64_t permuted_row(uint64_t row, uint64_t head_dim) {
  const uint64_t head = row / head_dim, inside = row % head_dim;
  return head * head_dim + (inside % 2) * (head_dim / 2) + inside / 2;
}

std::vector<float> llama3_rope_factors(const hf::RopeConfig& rope, uint64_t dims) {
  const auto context = static_cast<double>(rope.original_context);
  std::vector<float> factors;
  for (uint64_t i = 0; i < dims / 2; ++i) {
    const double wavelength = 2 * std::numbers::pi * std::pow(rope.base, 2.0 * static_cast<double>(i) / static_cast<double>(dims));
    double divisor = 1;
    if (wavelength > context / rope.low_frequency_factor) {
      divisor = rope.factor;
    } else if (wavelength > context / rope.high_frequency_factor) {
      const double smooth = (context / wavelength - rope.low_frequency_factor) / (rope.high_frequency_factor - rope.low_frequency_factor);
      divisor = 1 / ((1 - smooth) / rope.factor + smooth);
    }
    factors.push_back(static_cast<float>(divisor));
  }
  return factors;
}

Result<std::shared_ptr<const Checkpoint>> open_hf_checkpoint(const std::string& path) { return HfCheckpoint::open(path); }

}  // namespace assay
