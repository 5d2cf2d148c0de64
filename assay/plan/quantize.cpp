#include "assay/plan/quantize.h"

#include <cstring>

#include "assay/base/text.h"
#include "assay/quant/codec.h"

namespace assay {

Result<OutputFile> plan_output(const Checkpoint& checkpoint, const OutputRequest& request) {
  OutputFile output;
  output.metadata = checkpoint.metadata();
  for (const char* key : {"split.no", "split.count", "split.tensors.count"}) output.metadata.erase(key);
  output.metadata.set("general.file_type", MetaValue::u32(request.file_type));
  if (request.quantized) output.metadata.set("general.quantization_version", MetaValue::u32(2));
  if (request.imatrix != nullptr) {
    output.metadata.set("quantize.imatrix.file", MetaValue::string(request.imatrix_path));
    if (!request.imatrix->datasets.empty()) output.metadata.set("quantize.imatrix.dataset", MetaValue::string(request.imatrix->datasets[0]));
    output.metadata.set("quantize.imatrix.entries_count", MetaValue::u32(static_cast<uint32_t>(request.imatrix->entries.size())));
    output.metadata.set("quantize.imatrix.chunks_count", MetaValue::u32(request.imatrix->chunk_count));
  }
  for (TensorInfo tensor : checkpoint.tensors()) {
    if (const auto found = request.recipe.types.find(tensor.name); found != request.recipe.types.end()) tensor.type = found->second;
    ASSAY_ASSIGN(tensor.bytes, tensor_bytes(tensor.type, {tensor.dims.data(), tensor.n_dims}, tensor.name));
    output.tensor_bytes += tensor.bytes;
    output.parameters += tensor.elements();
    output.tensors.push_back(std::move(tensor));
  }
  for (const auto& [name, type] : request.recipe.types)
    if (checkpoint.find(name) == nullptr) return fail(ErrorCode::kMismatch, {"recipe: tensor '" + printable(name) + "'", "is not in the model", "", "a recipe of another model?"});
  ASSAY_ASSIGN(const GgufLayout layout, gguf_layout(output.metadata, output.tensors));
  output.file_bytes = layout.file_bytes;
  return output;
}

Result<std::vector<std::byte>> encode_tensor(const Checkpoint& checkpoint, const TensorInfo& tensor, GgmlType type, const Imatrix* imatrix, int threads) {
  if (tensor.type == type) return checkpoint.read(tensor);
  ASSAY_ASSIGN(const std::vector<float> values, checkpoint.read_float(tensor, threads));
  ASSAY_ASSIGN(const uint64_t size, tensor_bytes(type, {tensor.dims.data(), tensor.n_dims}, tensor.name));
  std::vector<std::byte> bytes(size);
  EncodeOptions options;
  options.threads = threads;
  const std::vector<float> importance = imatrix != nullptr ? imatrix->importance(tensor.name) : std::vector<float>{};
  options.importance = importance;
  if (!importance.empty() && importance.size() > tensor.row_length()) options.rows_per_matrix = tensor.dims[1];
  auto status = encode(type, values, tensor.row_length(), bytes, options);
  if (!status) return fail(status.error().code, "tensor '" + printable(tensor.name) + "': " + status.error().message);
  return bytes;
}

Status write_model(const Checkpoint& checkpoint, const OutputFile& output, const Imatrix* imatrix, const std::string& path,
                   const WriteModelOptions& options, Progress& progress) {
  GgufWriteOptions write;
  write.force = options.force;
  write.inputs = checkpoint.paths();
  const auto fill = [&](const TensorInfo& tensor, std::span<std::byte> out) -> Status {
    const TensorInfo* source = checkpoint.find(tensor.name);
    ASSAY_ASSIGN(const std::vector<std::byte> bytes, encode_tensor(checkpoint, *source, tensor.type, imatrix, options.threads));
    if (bytes.size() != out.size()) return fail(ErrorCode::kInternal, "tensor '" + tensor.name + "' was encoded to another size than planned");
    std::memcpy(out.data(), bytes.data(), out.size());
    return {};
  };
  return write_gguf(path, output.metadata, output.tensors, fill, write, progress).map([](const GgufLayout&) {});
}

}  // namespace assay
