#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "assay/base/text.h"
#include "assay/file/atomic_writer.h"
#include "assay/file/json_text.h"
#include "assay/file/safetensors.h"

namespace assay {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxTextBytes = uint64_t{256} << 20;  // the largest tokenizer.json known has 35 MB

// The text of a file of the directory; empty if it is not there.
Result<std::string> optional_text(const fs::path& directory, const char* name) {
  auto text = read_text_file((directory / name).string(), kMaxTextBytes);
  if (!text && text.error().code == ErrorCode::kNotFound) return std::string();
  return text;
}

Status check_config(const HfDirectory& model) {
  const std::string who = "model directory " + model.path;
  if (model.config_json.empty())
    return fail(ErrorCode::kNotFound,
                {who, "has no config.json", "it says which architecture this is", "not a Hugging Face model, or an incomplete download?"});
  ASSAY_ASSIGN(const nlohmann::json config, parse_json(model.config_json, who + ": config.json", RepeatedKeys::kLastWins));
  if (!config.is_object()) return fail(ErrorCode::kBadInput, {who + ": config.json", "is not a JSON object", "", ""});
  const auto quantization = config.find("quantization_config");
  if (quantization == config.end() || quantization->is_null()) return {};
  std::string method = "unnamed method";
  if (quantization->is_object() && quantization->contains("quant_method") && (*quantization)["quant_method"].is_string())
    method = (*quantization)["quant_method"].get<std::string>();
  return fail(ErrorCode::kUnsupported, {who + ": config.json", "has a quantization_config (" + printable(method) + ")",
                                        "weights in F32, F16 or BF16 are needed", "take the model it was quantized from"});
}

// From its own file, or from tokenizer_config.json: one template, or a list of named ones of which "default" is meant.
Result<std::string> chat_template_of(const fs::path& directory, const std::string& tokenizer_config) {
  ASSAY_ASSIGN(std::string text, optional_text(directory, "chat_template.jinja"));
  if (!text.empty() || tokenizer_config.empty()) return text;
  ASSAY_ASSIGN(const nlohmann::json config,
               parse_json(tokenizer_config, "model directory " + directory.string() + ": tokenizer_config.json", RepeatedKeys::kLastWins));
  if (!config.is_object() || !config.contains("chat_template")) return std::string();
  const nlohmann::json& value = config["chat_template"];
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return std::string();
  for (const nlohmann::json& named : value) {
    if (named.is_object() && named.value("name", nlohmann::json()) == "default" && named.contains("template") &&
        named["template"].is_string())
      return named["template"].get<std::string>();
  }
  return std::string();
}

// A shard of a sharded model stands for the whole model.
bool is_shard_name(const fs::path& file) {
  const std::string stem = file.stem().string();
  const size_t of = stem.rfind("-of-");
  return of != std::string::npos && of + 4 < stem.size() && stem.find_first_not_of("0123456789", of + 4) == std::string::npos;
}

Result<Safetensors> open_tensors(const fs::path& directory, const fs::path& file) {
  std::error_code ignored;
  if (!file.empty() && !(is_shard_name(file) && fs::exists(directory / "model.safetensors.index.json", ignored))) {
    ASSAY_ASSIGN(std::shared_ptr<ByteSource> source, open_file(file.string()));
    return Safetensors::parse(std::move(source));
  }
  if (fs::exists(directory / "model.safetensors", ignored) || fs::exists(directory / "model.safetensors.index.json", ignored))
    return Safetensors::open_directory(directory.string());
  const std::string who = "model directory " + directory.string();
  for (const char* name :
       {"pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model-00001-of-00002.bin", "tf_model.h5", "flax_model.msgpack"}) {
    if (fs::exists(directory / name, ignored))
      return fail(ErrorCode::kUnsupported, {who, std::string("has its weights in ") + name, "model.safetensors is needed",
                                            "convert it with transformers: save_pretrained(..., safe_serialization=True)"});
  }
  return fail(ErrorCode::kNotFound, {who, "has neither model.safetensors nor model.safetensors.index.json", "", "incomplete download?"});
}

}  // namespace

Result<HfDirectory> HfDirectory::open(const std::string& path) {
  std::error_code ignored;
  const bool is_directory = fs::is_directory(path, ignored);
  if (!is_directory && !fs::exists(path, ignored))
    return fail(ErrorCode::kNotFound, {path, "is not there", "a model directory or a .safetensors file is needed", ""});
  const fs::path file = is_directory ? fs::path() : fs::path(path);
  const fs::path parent = file.parent_path();
  const fs::path directory = is_directory ? fs::path(path) : parent.empty() ? fs::path(".") : parent;
  HfDirectory model;
  model.path = directory.string();
  ASSAY_ASSIGN(model.config_json, optional_text(directory, "config.json"));
  ASSAY_TRY(check_config(model));
  ASSAY_ASSIGN(model.tensors, open_tensors(directory, file));
  ASSAY_ASSIGN(model.tokenizer_json, optional_text(directory, "tokenizer.json"));
  ASSAY_ASSIGN(model.tokenizer_config_json, optional_text(directory, "tokenizer_config.json"));
  ASSAY_ASSIGN(model.vocab_json, optional_text(directory, "vocab.json"));
  ASSAY_ASSIGN(model.merges_txt, optional_text(directory, "merges.txt"));
  ASSAY_ASSIGN(model.generation_config_json, optional_text(directory, "generation_config.json"));
  ASSAY_ASSIGN(model.chat_template, chat_template_of(directory, model.tokenizer_config_json));
  return model;
}

}  // namespace assay
