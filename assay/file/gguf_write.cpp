#include <array>
#include <cstring>
#include <unordered_set>
#include <utility>

#include "assay/base/checked.h"
#include "assay/base/text.h"
#include "assay/file/atomic_writer.h"
#include "assay/file/gguf.h"
#include "assay/file/gguf_header.h"

namespace assay {
namespace {

tl::unexpected<Error> unwritable(std::string who, std::string found, std::string needed) {
  return fail(ErrorCode::kUsage, {"gguf: " + std::move(who), std::move(found), std::move(needed), ""});
}

// Appends the file's encoding of the header to `out`. Payloads that do not fit their type are refused.
class HeaderEncoder {
 public:
  explicit HeaderEncoder(std::string& out) : out_(out) {}

  template <class T>
  void number(T value) {
    std::array<char, sizeof(T)> bytes;
    std::memcpy(bytes.data(), &value, sizeof(T));
    out_.append(bytes.data(), bytes.size());
  }
  void text(std::string_view value) {
    number<uint64_t>(value.size());
    out_.append(value);
  }
  Status key_value(const Metadata::Entry& entry);
  void tensor(const TensorInfo& tensor);

 private:
  template <class File, class Wide>
  bool narrowed(Wide value) {
    if (!std::in_range<File>(value)) return false;
    number(static_cast<File>(value));
    return true;
  }
  bool scalar(MetaType type, uint64_t value);
  bool scalar(MetaType type, int64_t value);
  bool scalar(MetaType type, double value);
  bool value(const MetaValue& value);
  bool array(const MetaArray& array);

  std::string& out_;
};

bool HeaderEncoder::scalar(MetaType type, uint64_t value) {
  switch (type) {
    case MetaType::kU8:
      return narrowed<uint8_t>(value);
    case MetaType::kU16:
      return narrowed<uint16_t>(value);
    case MetaType::kU32:
      return narrowed<uint32_t>(value);
    case MetaType::kU64:
      return narrowed<uint64_t>(value);
    case MetaType::kBool:
      return value <= 1 && narrowed<uint8_t>(value);
    default:
      return false;
  }
}

bool HeaderEncoder::scalar(MetaType type, int64_t value) {
  switch (type) {
    case MetaType::kI8:
      return narrowed<int8_t>(value);
    case MetaType::kI16:
      return narrowed<int16_t>(value);
    case MetaType::kI32:
      return narrowed<int32_t>(value);
    case MetaType::kI64:
      return narrowed<int64_t>(value);
    default:
      return false;
  }
}

bool HeaderEncoder::scalar(MetaType type, double value) {
  if (type == MetaType::kF32) number(static_cast<float>(value));
  if (type == MetaType::kF64) number(value);
  return type == MetaType::kF32 || type == MetaType::kF64;
}

bool HeaderEncoder::array(const MetaArray& array) {
  number(static_cast<uint32_t>(array.element));
  number<uint64_t>(array.size());
  bool fits = array.element != MetaType::kArray;
  if (array.element == MetaType::kString) {
    for (size_t i = 0; i < array.string_values.size(); ++i) text(array.string_values[i]);
  }
  for (const uint64_t v : array.unsigned_values) fits = fits && scalar(array.element, v);
  for (const int64_t v : array.signed_values) fits = fits && scalar(array.element, v);
  for (const double v : array.real_values) fits = fits && scalar(array.element, v);
  return fits;
}

bool HeaderEncoder::value(const MetaValue& value) {
  if (const auto* v = std::get_if<uint64_t>(&value.value)) return value.type != MetaType::kBool && scalar(value.type, *v);
  if (const auto* v = std::get_if<int64_t>(&value.value)) return scalar(value.type, *v);
  if (const auto* v = std::get_if<double>(&value.value)) return scalar(value.type, *v);
  if (const auto* v = std::get_if<bool>(&value.value)) return value.type == MetaType::kBool && scalar(MetaType::kBool, uint64_t{*v});
  if (const auto* v = std::get_if<std::string>(&value.value)) {
    text(*v);
    return value.type == MetaType::kString;
  }
  const auto& held = std::get<std::shared_ptr<const MetaArray>>(value.value);
  return value.type == MetaType::kArray && held != nullptr && array(*held);
}

Status HeaderEncoder::key_value(const Metadata::Entry& entry) {
  const std::string who = "key '" + printable(entry.key) + "'";
  if (entry.key.empty() || entry.key.size() > kMaxKeyBytes)
    return unwritable(who, "has " + std::to_string(entry.key.size()) + " bytes", "1 to 65,535 are needed");
  if (!is_valid_utf8(entry.key) || entry.key.find('\0') != std::string::npos)
    return unwritable(who, "is not text", "UTF-8 without NUL is needed");
  text(entry.key);
  number(static_cast<uint32_t>(entry.value.type));
  if (value(entry.value)) return {};
  return unwritable(who, "holds a value that does not fit its type " + std::string(name_of(entry.value.type)), "");
}

void HeaderEncoder::tensor(const TensorInfo& tensor) {
  text(tensor.name);
  number(tensor.n_dims);
  for (uint32_t d = 0; d < tensor.n_dims; ++d) number(tensor.dims[d]);
  number(static_cast<uint32_t>(tensor.type));
  number(tensor.offset);
}

Result<uint64_t> alignment_of(const Metadata& metadata) {
  const MetaValue* value = metadata.find(kAlignmentKey);
  if (value == nullptr) return kDefaultAlignment;
  const auto* alignment = std::get_if<uint64_t>(&value->value);
  if (value->type == MetaType::kU32 && alignment != nullptr && is_valid_alignment(*alignment)) return *alignment;
  return unwritable("key 'general.alignment'", "is " + to_text(*value) + " of type " + std::string(name_of(value->type)),
                    "a u32 power of two from 8 to " + group_digits(kMaxAlignment) + " is needed");
}

Status check_tensor(const TensorInfo& tensor) {
  const std::string who = "tensor '" + printable(tensor.name) + "'";
  if (tensor.name.empty() || tensor.name.size() > kMaxWrittenNameBytes) {
    return unwritable(who, "has a name of " + std::to_string(tensor.name.size()) + " bytes", "llama.cpp loads names of 1 to 63");
  }
  if (!is_valid_utf8(tensor.name) || tensor.name.find('\0') != std::string::npos)
    return unwritable(who, "has a name that is not text", "UTF-8 without NUL is needed");
  if (tensor.n_dims < 1 || tensor.n_dims > kMaxDims)
    return unwritable(who, "has " + std::to_string(tensor.n_dims) + " dimensions", "1 to 4 are needed");
  for (uint32_t d = 0; d < kMaxDims; ++d) {
    const uint64_t dim = tensor.dims[d];
    if (dim == 0 || (d >= tensor.n_dims && dim != 1))
      return unwritable(who, "has dimension " + std::to_string(d) + " = " + group_digits(dim),
                        "used dimensions are positive, unused ones 1");
  }
  return {};
}

struct EncodedFile {
  GgufLayout layout;
  std::string header;  // unpadded
  uint64_t alignment = kDefaultAlignment;
};

Result<EncodedFile> encode(const Metadata& metadata, std::span<const TensorInfo> tensors) {
  EncodedFile file;
  ASSAY_ASSIGN(file.alignment, alignment_of(metadata));
  if (metadata.entries().size() > kMaxKeys || tensors.size() > kMaxTensors) {
    return unwritable("a file", "of " + group_digits(metadata.entries().size()) + " keys and " + group_digits(tensors.size()) + " tensors",
                      "at most 262,144 of each are written");
  }
  HeaderEncoder encoder(file.header);
  file.header = kGgufMagic;
  encoder.number(kGgufVersion);
  encoder.number<uint64_t>(tensors.size());
  encoder.number<uint64_t>(metadata.entries().size());
  for (const Metadata::Entry& entry : metadata.entries()) ASSAY_TRY(encoder.key_value(entry));

  CheckedSize end = 0;
  std::unordered_set<std::string_view> names;
  for (const TensorInfo& wanted : tensors) {
    ASSAY_TRY(check_tensor(wanted));
    if (!names.insert(wanted.name).second)
      return unwritable("tensor '" + printable(wanted.name) + "'", "is given twice", "names are unique");
    TensorInfo tensor = wanted;
    tensor.part = 0;
    tensor.offset = end.value_or(0);
    ASSAY_ASSIGN(tensor.bytes, tensor_bytes(tensor.type, std::span(tensor.dims).first(tensor.n_dims), tensor.name));
    end = (end + tensor.bytes).round_up(file.alignment);
    encoder.tensor(tensor);
    file.layout.tensors.push_back(std::move(tensor));
  }
  const CheckedSize header = CheckedSize(file.header.size()).round_up(file.alignment);
  if (!(header + end).fits(INT64_MAX)) return unwritable("a file", "of more than 2^63 bytes", "");
  file.layout.header_bytes = header.value_or(0);
  file.layout.file_bytes = (header + end).value_or(0);
  return file;
}

Status pad_to(AtomicWriter& writer, uint64_t alignment) {
  const uint64_t end = CheckedSize(writer.written()).round_up(alignment).value_or(writer.written());
  return writer.write(std::string(end - writer.written(), '\0'));
}

Status write_tensors(AtomicWriter& writer, const EncodedFile& file, const TensorFiller& fill, Progress& progress) {
  progress.stage("write", file.layout.file_bytes);
  std::vector<std::byte> data;
  for (const TensorInfo& tensor : file.layout.tensors) {
    if (progress.interrupted())
      return fail(ErrorCode::kInterrupted,
                  "gguf: writing was interrupted before tensor '" + printable(tensor.name) + "'; nothing was left behind");
    data.resize(tensor.bytes);
    ASSAY_TRY(fill(tensor, data));
    ASSAY_TRY(writer.write(data));
    ASSAY_TRY(pad_to(writer, file.alignment));
    progress.update(writer.written(), tensor.name);
  }
  return {};
}

tl::unexpected<Error> differs(const std::string& path, std::string found) {
  return fail(ErrorCode::kIo, {"gguf: " + path + ", read back after writing,", std::move(found), "", "a failing disk, or a bug in assay"});
}

Status check_zero(const ByteSource& source, uint64_t begin, uint64_t end) {
  std::vector<std::byte> bytes(end - begin);
  ASSAY_TRY(source.read(begin, bytes));
  for (const std::byte b : bytes)
    if (b != std::byte{0}) return differs(source.name(), "has padding that is not zero at byte " + group_digits(begin));
  return {};
}

// The finished file against the plan: header bytes, every tensor's type, shape and place, zero padding, length.
Status verify(const std::string& path, const EncodedFile& file) {
  ASSAY_ASSIGN(const std::shared_ptr<ByteSource> source, open_file(path));
  ASSAY_ASSIGN(const Gguf written, Gguf::parse(source));
  const GgufLayout& layout = file.layout;
  if (source->size() != layout.file_bytes)
    return differs(path, "has " + group_digits(source->size()) + " bytes, not " + group_digits(layout.file_bytes));
  std::string header(file.header.size(), '\0');
  ASSAY_TRY(source->read(0, std::as_writable_bytes(std::span(header))));
  if (header != file.header) return differs(path, "has another header");
  if (written.data_offset() != layout.header_bytes || written.tensors().size() != layout.tensors.size())
    return differs(path, "has another data section");
  ASSAY_TRY(check_zero(*source, header.size(), layout.header_bytes));
  for (size_t i = 0; i < layout.tensors.size(); ++i) {
    const TensorInfo& want = layout.tensors[i];
    const TensorInfo& have = written.tensors()[i];
    if (have.name != want.name || have.type != want.type || have.dims != want.dims || have.offset != want.offset ||
        have.bytes != want.bytes) {
      return differs(path, "has tensor '" + printable(have.name) + "' where '" + printable(want.name) + "' was written");
    }
    const uint64_t end = layout.header_bytes + want.offset + want.bytes;
    const uint64_t next = i + 1 < layout.tensors.size() ? layout.header_bytes + layout.tensors[i + 1].offset : layout.file_bytes;
    ASSAY_TRY(check_zero(*source, end, next));
  }
  return {};
}

}  // namespace

Result<GgufLayout> gguf_layout(const Metadata& metadata, std::span<const TensorInfo> tensors) {
  ASSAY_ASSIGN(EncodedFile file, encode(metadata, tensors));
  return std::move(file.layout);
}

Result<GgufLayout> write_gguf(const std::string& path, const Metadata& metadata, std::span<const TensorInfo> tensors,
                              const TensorFiller& fill, const GgufWriteOptions& options, Progress& progress) {
  ASSAY_ASSIGN(EncodedFile file, encode(metadata, tensors));
  ASSAY_ASSIGN(AtomicWriter writer, AtomicWriter::create(path, {options.force, options.inputs, file.layout.file_bytes}));
  ASSAY_TRY(writer.write(file.header));
  ASSAY_TRY(pad_to(writer, file.alignment));
  ASSAY_TRY(write_tensors(writer, file, fill, progress));
  ASSAY_ASSIGN(const std::string temporary, writer.flushed_path());
  ASSAY_TRY(verify(temporary, file));
  ASSAY_TRY(writer.commit());
  return std::move(file.layout);
}

}  // namespace assay
