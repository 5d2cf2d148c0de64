#include "assay/file/safetensors.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "assay/base/checked.h"
#include "assay/base/text.h"
#include "assay/file/atomic_writer.h"
#include "assay/file/json_text.h"
#include "assay/file/safetensors_header.h"

namespace assay {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";
constexpr uint64_t kMaxIndexBytes = uint64_t{64} << 20;

struct ShardIndex {
  std::vector<std::string> shards;              // file names, sorted
  std::map<std::string, std::string> shard_of;  // tensor -> file name
  std::optional<uint64_t> total_size;           // bytes of all tensors
};

// A shard is a plain name in the index's own directory: an index must not reach files elsewhere.
bool is_plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos && name.find('\\') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

Result<ShardIndex> read_index(const std::string& path) {
  const std::string who = "safetensors: " + path;
  ASSAY_ASSIGN(const std::string text, read_text_file(path, kMaxIndexBytes));
  ASSAY_ASSIGN(const nlohmann::json tree, parse_json(text, who, RepeatedKeys::kRefuse));
  if (!tree.is_object() || !tree.contains("weight_map") || !tree["weight_map"].is_object())
    return fail(ErrorCode::kBadInput, {who, "has no object 'weight_map'", "tensor names and their files are needed", ""});
  ShardIndex index;
  for (const auto& [tensor, file] : tree["weight_map"].items()) {
    const std::string entry = who + ": tensor '" + printable(tensor) + "'";
    if (!file.is_string()) return fail(ErrorCode::kBadInput, {entry, "is mapped to something else than a file name", "", ""});
    const auto& name = file.get_ref<const std::string&>();
    if (!is_plain_name(name))
      return fail(ErrorCode::kBadInput, {entry, "is mapped to '" + printable(name) + "'", "a file name in the same directory is needed",
                                         "an index may not reach other directories"});
    index.shard_of.emplace(tensor, name);
    index.shards.push_back(name);
  }
  std::ranges::sort(index.shards);
  index.shards.erase(std::unique(index.shards.begin(), index.shards.end()), index.shards.end());
  const auto metadata = tree.find("metadata");
  if (metadata != tree.end() && metadata->is_object() && metadata->contains("total_size") &&
      (*metadata)["total_size"].is_number_unsigned()) {
    index.total_size = (*metadata)["total_size"].get<uint64_t>();
  }
  return index;
}

}  // namespace

Result<Safetensors> Safetensors::parse(std::shared_ptr<ByteSource> source) {
  ASSAY_ASSIGN(SafetensorsHeader header, read_safetensors_header(*source));
  Safetensors file;
  file.shards_.push_back(std::move(source));
  file.tensors_ = std::move(header.tensors);
  file.metadata_ = std::move(header.metadata);
  file.warnings_ = std::move(header.warnings);
  file.index_.reserve(file.tensors_.size());
  for (size_t i = 0; i < file.tensors_.size(); ++i) file.index_.emplace(file.tensors_[i].name, i);
  return file;
}

Result<Safetensors> Safetensors::open_directory(const std::string& directory) {
  const std::string single = (fs::path(directory) / kSingleFile).string();
  const std::string index_path = (fs::path(directory) / kIndexFile).string();
  std::error_code ignored;
  if (fs::exists(single, ignored)) {
    ASSAY_ASSIGN(std::shared_ptr<ByteSource> source, open_file(single));
    return parse(std::move(source));
  }
  ASSAY_ASSIGN(const ShardIndex index, read_index(index_path));
  Safetensors whole;
  CheckedSize total = 0;
  for (const std::string& shard : index.shards) {
    auto source = open_file((fs::path(directory) / shard).string());
    if (!source)
      return fail(source.error().code, {"safetensors: " + index_path + ": shard '" + printable(shard) + "'", "is not there",
                                        source.error().message, "incomplete download?"});
    ASSAY_ASSIGN(Safetensors part, parse(std::move(*source)));
    const auto number = static_cast<uint32_t>(whole.shards_.size());
    for (SafetensorInfo& tensor : part.tensors_) {
      const std::string who = "safetensors: " + part.shards_.front()->name() + ": tensor '" + printable(tensor.name) + "'";
      tensor.shard = number;
      total = total + (tensor.end - tensor.begin);
      if (!whole.index_.emplace(tensor.name, whole.tensors_.size()).second)
        return fail(ErrorCode::kBadInput, {who, "is in an earlier shard too", "a tensor is in one shard", "a shard of another model?"});
      const auto listed = index.shard_of.find(tensor.name);
      if (listed == index.shard_of.end())
        whole.warnings_.push_back("tensor '" + printable(tensor.name) + "' is not listed in " + kIndexFile);
      if (listed != index.shard_of.end() && listed->second != shard)
        return fail(ErrorCode::kBadInput, {who, "is in shard '" + printable(shard) + "'",
                                           "the index says '" + printable(listed->second) + "'", "a shard of another version?"});
      whole.tensors_.push_back(std::move(tensor));
    }
    for (const std::string& warning : part.warnings_) whole.warnings_.push_back(shard + ": " + warning);
    whole.metadata_.merge(part.metadata_);
    whole.shards_.push_back(std::move(part.shards_.front()));
  }
  for (const auto& [tensor, shard] : index.shard_of) {
    if (whole.index_.contains(tensor)) continue;
    return fail(ErrorCode::kBadInput, {"safetensors: " + index_path + ": tensor '" + printable(tensor) + "'",
                                       "is not in its shard '" + printable(shard) + "'", "", "a shard of another version?"});
  }
  if (index.total_size && *index.total_size != total.value_or(0)) {
    whole.warnings_.push_back(std::string(kIndexFile) + " promises " + group_digits(*index.total_size) +
                              " bytes of tensors, the shards hold " + group_digits(total.value_or(0)));
  }
  return whole;
}

const SafetensorInfo* Safetensors::find(std::string_view name) const {
  const auto found = index_.find(std::string(name));
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

Status Safetensors::read(const SafetensorInfo& tensor, uint64_t begin, std::span<std::byte> out) const {
  if (!(CheckedSize(begin) + out.size()).fits(tensor.end - tensor.begin)) {
    return fail(ErrorCode::kInternal, {"safetensors: tensor '" + printable(tensor.name) + "'", "was asked for bytes past its end",
                                       "it has " + group_digits(tensor.end - tensor.begin) + " bytes", ""});
  }
  return shards_[tensor.shard]->read(tensor.begin + begin, out);
}

std::span<const std::byte> Safetensors::view(const SafetensorInfo& tensor) const {
  return shards_[tensor.shard]->view(tensor.begin, tensor.end - tensor.begin);
}

std::vector<std::string> Safetensors::paths() const {
  std::vector<std::string> names;
  for (const auto& shard : shards_) names.push_back(shard->name());
  return names;
}

}  // namespace assay
