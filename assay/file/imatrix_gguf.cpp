// GGUF form: general.type = "imatrix", per tensor T the F32 tensors "T.in_sum2" [columns, matrices] and "T.counts" [1, matrices]; some have
// "T.in_sum" too, as long as in_sum2.
#include <cmath>
#include <cstring>
#include <utility>

#include "assay/base/text.h"
#include "assay/file/gguf.h"
#include "assay/file/imatrix_formats.h"

namespace assay {
namespace {

constexpr std::string_view kSumSuffix = ".in_sum2";
constexpr std::string_view kInputSuffix = ".in_sum";
constexpr std::string_view kCountSuffix = ".counts";
constexpr const char* kType = "imatrix";

Result<std::vector<float>> read_floats(const Gguf& file, const TensorInfo& tensor) {
  std::vector<float> values(tensor.elements());
  ASSAY_TRY(file.read(tensor, 0, std::as_writable_bytes(std::span(values))));
  return values;
}

Result<ImatrixEntry> read_entry(const Gguf& file, const TensorInfo& sums, const std::string& name) {
  const std::string who = "imatrix: " + file.source().name() + ": tensor '" + printable(name) + "'";
  const TensorInfo* counts = file.find(name + std::string(kCountSuffix));
  if (counts == nullptr)
    return fail(ErrorCode::kBadInput, {who, "has sums (.in_sum2)", "its .counts are missing", "cut off, or made by another tool?"});
  if (sums.type != GgmlType::kF32 || counts->type != GgmlType::kF32)
    return fail(ErrorCode::kBadInput, {who, "is not held in F32", "F32 is needed", ""});
  if (counts->elements() != sums.rows()) {
    return fail(ErrorCode::kBadInput, {who, "has " + group_digits(sums.rows()) + " matrices",
                                       group_digits(counts->elements()) + " counts are given", "corrupt?"});
  }
  ImatrixEntry entry;
  entry.columns = sums.row_length();
  ASSAY_ASSIGN(entry.sums, read_floats(file, sums));
  ASSAY_ASSIGN(entry.counts, read_floats(file, *counts));
  if (const TensorInfo* const inputs = file.find(name + std::string(kInputSuffix))) {
    if (inputs->type != GgmlType::kF32 || inputs->row_length() != entry.columns || inputs->elements() != entry.sums.size())
      return fail(ErrorCode::kBadInput, {who, "has sums of inputs (.in_sum) of another shape or type", "F32, as its .in_sum2", "corrupt?"});
    ASSAY_ASSIGN(entry.inputs, read_floats(file, *inputs));
  }
  ASSAY_TRY(check_imatrix_entry(who, entry));
  return entry;
}

Result<uint32_t> read_u32(const Metadata& metadata, const char* key) {
  ASSAY_ASSIGN(const auto value, metadata.get_u64(key));
  if (value.value_or(0) > UINT32_MAX)
    return fail(ErrorCode::kBadInput,
                {std::string("imatrix: key '") + key + "'", "is " + group_digits(*value), "a number below 2^32 is needed", ""});
  return static_cast<uint32_t>(value.value_or(0));
}

}  // namespace

Status check_imatrix_entry(const std::string& who, const ImatrixEntry& entry) {
  for (size_t i = 0; i < entry.sums.size(); ++i) {
    if (std::isfinite(entry.sums[i]) && entry.sums[i] >= 0) continue;
    return fail(ErrorCode::kBadInput, {who, "has sum " + std::to_string(entry.sums[i]) + " in column " + group_digits(i % entry.columns),
                                       "sums of squares are finite and not negative", "NaN activations while it was made?"});
  }
  for (const float sum : entry.inputs)
    if (!std::isfinite(sum))
      return fail(ErrorCode::kBadInput, {who, "has a sum of inputs that is not finite", "", "NaN activations while it was made?"});
  for (const float count : entry.counts) {
    if (std::isfinite(count) && count >= 0) continue;
    return fail(ErrorCode::kBadInput, {who, "has count " + std::to_string(count), "counts are finite and not negative", "corrupt?"});
  }
  return {};
}

Result<Imatrix> parse_gguf_imatrix(std::shared_ptr<ByteSource> source) {
  ASSAY_ASSIGN(const Gguf file, Gguf::parse(std::move(source)));
  const Metadata& metadata = file.metadata();
  const std::string who = "imatrix: " + file.source().name();
  ASSAY_ASSIGN(const auto type, metadata.get_string("general.type"));
  if (type != kType)
    return fail(ErrorCode::kBadInput, {who, "is a GGUF of type '" + printable(type.value_or("model")) + "'",
                                       "general.type 'imatrix' is needed", "a model file?"});
  Imatrix imatrix;
  ASSAY_ASSIGN(const StringList* datasets, metadata.get_strings("imatrix.datasets"));
  for (size_t i = 0; datasets != nullptr && i < datasets->size(); ++i) imatrix.datasets.emplace_back((*datasets)[i]);
  ASSAY_ASSIGN(imatrix.chunk_count, read_u32(metadata, "imatrix.chunk_count"));
  ASSAY_ASSIGN(imatrix.chunk_size, read_u32(metadata, "imatrix.chunk_size"));
  for (const TensorInfo& tensor : file.tensors()) {
    if (!tensor.name.ends_with(kSumSuffix)) continue;
    std::string name = tensor.name.substr(0, tensor.name.size() - kSumSuffix.size());
    ASSAY_ASSIGN(ImatrixEntry entry, read_entry(file, tensor, name));
    imatrix.entries.emplace(std::move(name), std::move(entry));
  }
  if (imatrix.entries.empty())
    return fail(ErrorCode::kBadInput, {who, "has no tensor '*.in_sum2'", "at least one is needed", "made with no chunk finished?"});
  return imatrix;
}

Status write_gguf_imatrix(const std::string& path, const Imatrix& imatrix, const OutputOptions& options) {
  Metadata metadata;
  StringList datasets;
  for (const std::string& dataset : imatrix.datasets) datasets.push_back(dataset);
  metadata.set("general.type", MetaValue::string(kType));
  metadata.set("imatrix.datasets", MetaValue::strings(std::move(datasets)));
  metadata.set("imatrix.chunk_count", MetaValue::u32(imatrix.chunk_count));
  metadata.set("imatrix.chunk_size", MetaValue::u32(imatrix.chunk_size));
  std::vector<TensorInfo> tensors;
  std::vector<const std::vector<float>*> values;
  for (const auto& [name, entry] : imatrix.entries) {
    TensorInfo sums;
    sums.name = name + std::string(kSumSuffix);
    sums.n_dims = 2;
    sums.dims = {entry.columns, entry.counts.size(), 1, 1};
    TensorInfo counts = sums;
    counts.name = name + std::string(kCountSuffix);
    counts.dims[0] = 1;
    if (!entry.inputs.empty()) {
      TensorInfo inputs = sums;
      inputs.name = name + std::string(kInputSuffix);
      tensors.push_back(std::move(inputs));
      values.push_back(&entry.inputs);
    }
    tensors.push_back(std::move(sums));
    values.push_back(&entry.sums);
    tensors.push_back(std::move(counts));
    values.push_back(&entry.counts);
  }
  size_t next = 0;
  const auto fill = [&](const TensorInfo&, std::span<std::byte> out) -> Status {
    const auto bytes = std::as_bytes(std::span(*values[next++]));
    std::memcpy(out.data(), bytes.data(), bytes.size());
    return {};
  };
  ASSAY_TRY(write_gguf(path, metadata, tensors, fill, {options.force, options.inputs}));
  return {};
}

}  // namespace assay
