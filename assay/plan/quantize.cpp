#include "assay/plan/quantize.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <unordered_map>

#include "assay/base/text.h"
#include "assay/file/block_order.h"
#include "assay/file/gguf_header.h"
#include "assay/file/tensor_role.h"

namespace assay {
namespace {

constexpr uint32_t kQuantizationVersion = 2;

std::string architecture_of(const Metadata& metadata) {
  const auto name = metadata.get_string("general.architecture");
  return name && *name ? **name : std::string();
}

// Blocks of the model: its metadata's count, else one more than the highest in a tensor name.
uint32_t block_count(const Checkpoint& checkpoint) {
  const auto count = checkpoint.metadata().get_u64(architecture_of(checkpoint.metadata()) + ".block_count");
  if (count && *count && **count <= UINT32_MAX) return static_cast<uint32_t>(**count);
  int highest = -1;
  for (const TensorInfo& tensor : checkpoint.tensors()) highest = std::max(highest, role_of(tensor.name).layer);
  return static_cast<uint32_t>(highest + 1);
}

Metadata output_metadata(const Checkpoint& checkpoint, const OutputRequest& request) {
  Metadata metadata = checkpoint.metadata();
  for (const char* key : {"split.no", "split.count", "split.tensors.count"}) metadata.erase(key);
  metadata.set("general.file_type", MetaValue::u32(request.file_type));
  if (request.quantized) metadata.set("general.quantization_version", MetaValue::u32(kQuantizationVersion));
  if (!request.prune_layers.empty()) {
    const uint32_t blocks = block_count(checkpoint);
    const std::set<uint32_t> pruned(request.prune_layers.begin(), request.prune_layers.end());
    std::vector<uint32_t> kept;
    for (uint32_t block = 0; block < blocks; ++block)
      if (!pruned.contains(block)) kept.push_back(block);
    order_blocks(metadata, kept, blocks);
  }
  if (request.imatrix != nullptr) {
    const Imatrix& imatrix = *request.imatrix;
    metadata.set("quantize.imatrix.file", MetaValue::string(request.imatrix_path));
    if (!imatrix.datasets.empty()) metadata.set("quantize.imatrix.dataset", MetaValue::string(imatrix.datasets.front()));
    metadata.set("quantize.imatrix.entries_count", MetaValue::u32(static_cast<uint32_t>(imatrix.entries.size())));
    if (imatrix.chunk_count != 0) metadata.set("quantize.imatrix.chunks_count", MetaValue::u32(imatrix.chunk_count));
  }
  for (const Metadata::Entry& entry : request.overrides) metadata.set(entry.key, entry.value);
  return metadata;
}

// Numbers the parts that still hold tensors from 0; one part unless they are kept.
uint32_t assign_parts(std::vector<TensorInfo>& tensors, bool keep_split) {
  std::set<uint32_t> used;
  for (TensorInfo& tensor : tensors) {
    if (!keep_split) tensor.part = 0;
    used.insert(tensor.part);
  }
  for (TensorInfo& tensor : tensors) tensor.part = static_cast<uint32_t>(std::distance(used.begin(), used.find(tensor.part)));
  return std::max<uint32_t>(1, static_cast<uint32_t>(used.size()));
}

// What one part of the output holds.
struct Part {
  Metadata metadata;
  std::vector<TensorInfo> tensors;
};
Part part_of(const OutputFile& output, uint32_t number) {
  Part part;
  if (number == 0) part.metadata = output.metadata;
  if (const MetaValue* alignment = output.metadata.find(kAlignmentKey)) part.metadata.set(std::string(kAlignmentKey), *alignment);
  if (output.parts > 1) {
    part.metadata.set("split.no", {MetaType::kU16, uint64_t{number}});
    part.metadata.set("split.count", {MetaType::kU16, uint64_t{output.parts}});
    part.metadata.set("split.tensors.count", MetaValue::i32(static_cast<int32_t>(output.tensors.size())));
  }
  std::copy_if(output.tensors.begin(), output.tensors.end(), std::back_inserter(part.tensors),
               [&](const TensorInfo& tensor) { return tensor.part == number; });
  return part;
}

}  // namespace

Result<KeptTensors> kept_tensors(const Checkpoint& checkpoint, std::span<const uint32_t> prune_layers) {
  const std::set<uint32_t> pruned(prune_layers.begin(), prune_layers.end());
  const uint32_t blocks = block_count(checkpoint);
  if (!pruned.empty() && (*pruned.rbegin() >= blocks || pruned.size() == blocks)) {
    return fail(ErrorCode::kUsage, {"prune layers: block " + std::to_string(*pruned.rbegin()),
                                    pruned.size() == blocks ? "would be the last to go" : "does not exist",
                                    "the model has blocks 0 to " + std::to_string(int64_t{blocks} - 1), ""});
  }
  KeptTensors kept;
  for (TensorInfo tensor : checkpoint.tensors()) {
    const std::string source = tensor.name;
    if (const int layer = role_of(source).layer; layer >= 0 && !pruned.empty()) {
      const auto number = static_cast<uint32_t>(layer);
      if (pruned.contains(number)) continue;
      const auto before = std::distance(pruned.begin(), pruned.lower_bound(number));
      tensor.name = name_in_block(source, number - static_cast<uint32_t>(before));
    }
    kept.tensors.push_back(std::move(tensor));
    kept.sources.push_back(source);
  }
  return kept;
}

Result<OutputFile> plan_output(const Checkpoint& checkpoint, const OutputRequest& request) {
  ASSAY_ASSIGN(KeptTensors kept, kept_tensors(checkpoint, request.prune_layers));
  OutputFile output;
  output.metadata = output_metadata(checkpoint, request);
  output.tensors = std::move(kept.tensors);
  output.sources = std::move(kept.sources);
  output.parts = assign_parts(output.tensors, request.keep_split);
  ASSAY_ASSIGN(const auto alignment, output.metadata.get_u64(kAlignmentKey));
  output.alignment = alignment.value_or(kDefaultAlignment);
  size_t named = 0;
  for (TensorInfo& tensor : output.tensors) {
    if (const auto found = request.recipe.types.find(tensor.name); found != request.recipe.types.end()) {
      tensor.type = found->second;
      ++named;
    }
    ASSAY_ASSIGN(tensor.bytes, tensor_bytes(tensor.type, std::span(tensor.dims).first(tensor.n_dims), tensor.name));
    output.tensor_bytes += tensor.bytes;
    output.parameters += tensor.elements();
  }
  if (named != request.recipe.types.size()) {
    std::set<std::string> names;
    for (const TensorInfo& tensor : output.tensors) names.insert(tensor.name);
    for (const auto& [name, type] : request.recipe.types)
      if (!names.contains(name))
        return fail(ErrorCode::kMismatch,
                    {"recipe: tensor '" + printable(name) + "'", "is not in the model", "", "a recipe of another model?"});
  }
  for (uint32_t number = 0; number < output.parts; ++number) {
    const Part part = part_of(output, number);
    ASSAY_ASSIGN(const GgufLayout layout, gguf_layout(part.metadata, part.tensors));
    output.header_bytes += layout.header_bytes;
    output.file_bytes += layout.file_bytes;
  }
  return output;
}

std::vector<std::string> output_paths(const OutputFile& output, const std::string& path) {
  if (output.parts == 1) return {path};
  const std::string stem = path.ends_with(".gguf") ? path.substr(0, path.size() - 5) : path;
  std::vector<std::string> paths;
  for (uint32_t number = 0; number < output.parts; ++number)
    paths.push_back(fmt::format("{}-{:05}-of-{:05}.gguf", stem, number + 1, output.parts));
  return paths;
}

Status write_model(const Checkpoint& checkpoint, const OutputFile& output, const Imatrix* imatrix, const std::string& path,
                   const WriteModelOptions& options, Progress& progress) {
  GgufWriteOptions write;
  write.force = options.force;
  write.inputs = checkpoint.paths();
  std::unordered_map<std::string, const TensorInfo*> sources;
  for (size_t i = 0; i < output.tensors.size(); ++i) sources[output.tensors[i].name] = checkpoint.find(output.sources[i]);
  const auto fill = [&](const TensorInfo& tensor, std::span<std::byte> out) -> Status {
    const TensorInfo& source = *sources.at(tensor.name);
    if (options.encode) {
      ASSAY_ASSIGN(const bool encoded, options.encode(source, tensor.type, out));
      if (encoded) return {};
    }
    return encode_tensor_into(checkpoint, source, tensor.type, imatrix, options.threads, out);
  };
  const std::vector<std::string> paths = output_paths(output, path);
  std::error_code error;
  for (const std::string& one : paths)  // no part is replaced before all may be
    if (!options.force && std::filesystem::exists(one, error)) return fail(ErrorCode::kUsage, {one, "exists", "--force replaces it", ""});
  for (uint32_t number = 0; number < output.parts; ++number) {
    const Part part = part_of(output, number);
    const auto written = write_gguf(paths[number], part.metadata, part.tensors, fill, write, progress);
    if (written) continue;
    for (uint32_t done = 0; done < number; ++done) std::filesystem::remove(paths[done], error);
    return fail(written.error());
  }
  return {};
}

}  // namespace assay
