#include "assay/file/gguf_header.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <type_traits>
#include <utility>

#include "assay/base/checked.h"
#include "assay/base/text.h"
#include "assay/file/foreign_format.h"
#include "assay/file/sequential_reader.h"

namespace assay {
namespace {

// Smallest possible entries, to refuse counts that the file cannot hold before anything is allocated.
constexpr uint64_t kMinKeyEntry = 8 + 1 + 4 + 1;         // length, one character, type, one byte of value
constexpr uint64_t kMinTensorEntry = 8 + 1 + 4 + 4 + 8;  // length, one character, n_dims, type, offset
constexpr uint64_t kElementsAtATime = 8192;              // of a numeric array
// Metadata may be wider in memory than in the file (a u8 becomes 8 bytes): at most this plus twice the file, and never more
// than the absolute limit, which also stops sparse files of terabytes. Real metadata stays below 64 MiB.
constexpr uint64_t kMemoryAllowance = uint64_t{32} << 20;
constexpr uint64_t kMemoryLimit = uint64_t{1} << 30;

class HeaderParser {
 public:
  explicit HeaderParser(const ByteSource& source) : source_(source), in_(source, "gguf") {}
  Result<GgufHeader> parse();

 private:
  Status read_magic();
  Status read_version();
  Result<uint64_t> read_count(const char* field, uint64_t min_entry, uint64_t limit);
  Status read_key_value(uint64_t number);
  Result<MetaValue> read_value(MetaType type);
  Result<MetaValue> read_array();
  Result<MetaType> read_type(const char* field);
  template <class File, class Wide>
  Result<MetaValue> read_scalar(MetaType type) {
    ASSAY_ASSIGN(const File value, in_.number<File>("value"));
    return MetaValue{type, static_cast<Wide>(value)};
  }
  template <class File, class Wide>
  Status read_elements(uint64_t count, std::vector<Wide>& out);
  Status read_strings(uint64_t count, StringList& out);
  Status charge(CheckedSize bytes, const char* field);
  Status read_alignment(const MetaValue& value, uint64_t at);
  Status read_tensor(uint64_t number);
  Result<std::string> read_name(const char* field, const std::string& fallback, uint64_t limit, const char* kind);
  Status check_offset(const TensorInfo& tensor, uint64_t at);
  Status read_padding();
  Status check_extents();
  template <class... Parts>
  tl::unexpected<Error> bad(uint64_t at, Parts&&... parts) const {
    return in_.broken(ErrorCode::kBadInput, at, std::forward<Parts>(parts)...);
  }

  const ByteSource& source_;
  SequentialReader in_;
  GgufHeader header_;
  CheckedSize held_ = 0;      // bytes of metadata in memory so far
  CheckedSize data_end_ = 0;  // end of the last tensor, padded, in the data section
};

Status HeaderParser::read_magic() {
  if (source_.size() == 0) return bad(0, "magic", "is missing: the file is empty", "a GGUF file starts with 'GGUF'", "failed download?");
  std::string first(std::min<uint64_t>(source_.size(), 64), '\0');
  ASSAY_TRY(source_.read(0, std::as_writable_bytes(std::span(first))));
  if (first.starts_with(kGgufMagic)) return in_.take(kGgufMagic.size(), "magic").map([](auto) {});
  std::string what = foreign_format(first);
  return bad(0, "magic", "is '" + printable(first.substr(0, 4)) + "'", "'GGUF' is needed",
             what.empty() ? "not a GGUF file" : "this is " + what);
}

Status HeaderParser::read_version() {
  const uint64_t at = in_.offset();
  ASSAY_ASSIGN(header_.version, in_.number<uint32_t>("version"));
  const uint32_t version = header_.version;
  if (version == 2 || version == 3) return {};
  const uint32_t swapped = __builtin_bswap32(version);
  if (swapped >= 1 && swapped <= kGgufVersion) {
    return in_.broken(ErrorCode::kUnsupported, at, "version", "is " + std::to_string(swapped) + " in big-endian order",
                      "little-endian files are read", "made for a big-endian machine; convert the original model again");
  }
  const char* cause = version == 1   ? "files of 2023 with 32-bit counts; convert the original model again"
                      : version == 0 ? "corrupt header"
                                     : "made by a newer program, or corrupt";
  return in_.broken(version == 0 ? ErrorCode::kBadInput : ErrorCode::kUnsupported, at, "version", "is " + std::to_string(version),
                    "2 and 3 are read", cause);
}

Result<uint64_t> HeaderParser::read_count(const char* field, uint64_t min_entry, uint64_t limit) {
  const uint64_t at = in_.offset();
  ASSAY_ASSIGN(const uint64_t count, in_.number<uint64_t>(field));
  const uint64_t possible = in_.remaining() / min_entry;
  if (count > possible) {
    std::string found = "is " + (count > INT64_MAX ? std::to_string(static_cast<int64_t>(count)) : group_digits(count));
    return bad(at, field, std::move(found), "the " + group_digits(in_.remaining()) + " bytes left hold at most " + group_digits(possible),
               "corrupt or truncated");
  }
  if (count > limit)
    return in_.broken(ErrorCode::kUnsupported, at, field, "is " + group_digits(count), "at most " + group_digits(limit) + " are read");
  return count;
}

// A key or tensor name: 1..limit bytes of UTF-8 without NUL.
Result<std::string> HeaderParser::read_name(const char* field, const std::string& fallback, uint64_t limit, const char* kind) {
  in_.about(fallback);
  const uint64_t at = in_.offset();
  ASSAY_ASSIGN(const uint64_t length, in_.number<uint64_t>(field));
  if (length == 0) return bad(at, field, "is empty", std::string("a ") + kind + " has at least one byte", "corrupt header");
  if (length > limit) {
    return bad(at, field, "has length " + group_digits(length), std::string("a ") + kind + " has at most " + group_digits(limit) + " bytes",
               "corrupt header");
  }
  ASSAY_TRY(charge(length, field));
  ASSAY_ASSIGN(const std::string_view text, in_.take(length, field));
  if (text.find('\0') != std::string_view::npos)
    return bad(at, field, "'" + printable(text) + "' contains a NUL byte", "text is needed", "corrupt header");
  if (!is_valid_utf8(text)) return bad(at, field, "'" + printable(text) + "' is not UTF-8", "text is needed", "corrupt header");
  return std::string(text);
}

Result<MetaType> HeaderParser::read_type(const char* field) {
  const uint64_t at = in_.offset();
  ASSAY_ASSIGN(const uint32_t id, in_.number<uint32_t>(field));
  if (id > static_cast<uint32_t>(MetaType::kF64))
    return bad(at, field, "is " + std::to_string(id), "0 to 12 are known", "corrupt, or newer than this program");
  return static_cast<MetaType>(id);
}

Status HeaderParser::read_key_value(uint64_t number) {
  const uint64_t at = in_.offset();
  ASSAY_ASSIGN(std::string key, read_name("key", "metadata entry " + group_digits(number), kMaxKeyBytes, "key"));
  in_.about("key '" + printable(key) + "'");
  if (header_.metadata.contains(key)) return bad(at, "key", "is given twice", "keys are unique", "corrupt, or made by a faulty editor");
  ASSAY_ASSIGN(const MetaType type, read_type("value type"));
  const uint64_t value_at = in_.offset();
  ASSAY_ASSIGN(MetaValue value, read_value(type));
  if (key == kAlignmentKey) ASSAY_TRY(read_alignment(value, value_at));
  header_.metadata.set(std::move(key), std::move(value));
  return {};
}

Result<MetaValue> HeaderParser::read_value(MetaType type) {
  switch (type) {
    case MetaType::kU8:
      return read_scalar<uint8_t, uint64_t>(type);
    case MetaType::kI8:
      return read_scalar<int8_t, int64_t>(type);
    case MetaType::kU16:
      return read_scalar<uint16_t, uint64_t>(type);
    case MetaType::kI16:
      return read_scalar<int16_t, int64_t>(type);
    case MetaType::kU32:
      return read_scalar<uint32_t, uint64_t>(type);
    case MetaType::kI32:
      return read_scalar<int32_t, int64_t>(type);
    case MetaType::kU64:
      return read_scalar<uint64_t, uint64_t>(type);
    case MetaType::kI64:
      return read_scalar<int64_t, int64_t>(type);
    case MetaType::kF32:
      return read_scalar<float, double>(type);
    case MetaType::kF64:
      return read_scalar<double, double>(type);
    case MetaType::kBool: {
      const uint64_t at = in_.offset();
      ASSAY_ASSIGN(const uint8_t flag, in_.number<uint8_t>("value"));
      if (flag > 1) return bad(at, "value", "is " + std::to_string(flag), "a bool is 0 or 1", "corrupt header");
      return MetaValue::boolean(flag == 1);
    }
    case MetaType::kString: {
      ASSAY_ASSIGN(const uint64_t length, in_.number<uint64_t>("string length"));
      if (length <= in_.remaining()) ASSAY_TRY(charge(length, "string"));
      ASSAY_ASSIGN(const std::string_view text, in_.take(length, "string"));
      return MetaValue::string(std::string(text));
    }
    case MetaType::kArray:
      return read_array();
  }
  return bad(in_.offset(), "value type", "is unknown", "");
}

// Counts bytes about to be held in memory.
Status HeaderParser::charge(CheckedSize bytes, const char* field) {
  held_ = held_ + bytes;
  const CheckedSize in_proportion = CheckedSize(2) * source_.size() + kMemoryAllowance;
  const uint64_t limit = std::min(in_proportion.value_or(kMemoryLimit), kMemoryLimit);
  if (held_.fits(limit)) return {};
  return in_.broken(ErrorCode::kUnsupported, in_.offset(), field,
                    "brings the metadata to " + format_bytes(held_.value_or(UINT64_MAX)) + " in memory",
                    "at most " + format_bytes(limit) + " are held", "no known model needs so much; corrupt?");
}

template <class File, class Wide>
Status HeaderParser::read_elements(uint64_t count, std::vector<Wide>& out) {
  const uint64_t at = in_.offset();
  if (count > in_.remaining() / sizeof(File)) {
    return bad(at, "array", "has " + group_digits(count) + " elements of " + std::to_string(sizeof(File)) + " bytes",
               group_digits(in_.remaining()) + " bytes are left", "truncated download, or a corrupt length?");
  }
  ASSAY_TRY(charge(CheckedSize(count) * sizeof(Wide), "array"));
  out.reserve(count);
  while (out.size() < count) {
    const uint64_t pieces = std::min(count - out.size(), kElementsAtATime);
    ASSAY_ASSIGN(const std::string_view bytes, in_.take(pieces * sizeof(File), "array"));
    for (uint64_t i = 0; i < pieces; ++i) {
      File value;
      std::memcpy(&value, bytes.data() + i * sizeof(File), sizeof(File));
      out.push_back(static_cast<Wide>(value));
    }
  }
  return {};
}

Status HeaderParser::read_strings(uint64_t count, StringList& out) {
  if (count > in_.remaining() / sizeof(uint64_t)) {
    return bad(in_.offset(), "array", "has " + group_digits(count) + " strings", group_digits(in_.remaining()) + " bytes are left",
               "truncated download, or a corrupt length?");
  }
  ASSAY_TRY(charge(CheckedSize(count) * sizeof(uint64_t), "array"));
  out.reserve(count, 0);
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t at = in_.offset();
    ASSAY_ASSIGN(const uint64_t length, in_.number<uint64_t>("string length in array"));
    if (length > in_.remaining()) {
      return bad(at, "string " + group_digits(i) + " of the array", "has length " + group_digits(length),
                 group_digits(in_.remaining()) + " bytes are left", "truncated download, or a corrupt length?");
    }
    ASSAY_TRY(charge(length, "string in array"));
    ASSAY_ASSIGN(const std::string_view text, in_.take(length, "string in array"));
    out.push_back(text);
  }
  return {};
}

Result<MetaValue> HeaderParser::read_array() {
  const uint64_t at = in_.offset();
  MetaArray array;
  ASSAY_ASSIGN(array.element, read_type("array element type"));
  const uint64_t count_at = in_.offset();
  ASSAY_ASSIGN(const uint64_t count, in_.number<uint64_t>("array length"));
  switch (array.element) {
    case MetaType::kU8:
      ASSAY_TRY((read_elements<uint8_t>(count, array.unsigned_values)));
      break;
    case MetaType::kU16:
      ASSAY_TRY((read_elements<uint16_t>(count, array.unsigned_values)));
      break;
    case MetaType::kU32:
      ASSAY_TRY((read_elements<uint32_t>(count, array.unsigned_values)));
      break;
    case MetaType::kU64:
      ASSAY_TRY((read_elements<uint64_t>(count, array.unsigned_values)));
      break;
    case MetaType::kI8:
      ASSAY_TRY((read_elements<int8_t>(count, array.signed_values)));
      break;
    case MetaType::kI16:
      ASSAY_TRY((read_elements<int16_t>(count, array.signed_values)));
      break;
    case MetaType::kI32:
      ASSAY_TRY((read_elements<int32_t>(count, array.signed_values)));
      break;
    case MetaType::kI64:
      ASSAY_TRY((read_elements<int64_t>(count, array.signed_values)));
      break;
    case MetaType::kF32:
      ASSAY_TRY((read_elements<float>(count, array.real_values)));
      break;
    case MetaType::kF64:
      ASSAY_TRY((read_elements<double>(count, array.real_values)));
      break;
    case MetaType::kString:
      ASSAY_TRY(read_strings(count, array.string_values));
      break;
    case MetaType::kBool: {
      const uint64_t first = in_.offset();
      ASSAY_TRY((read_elements<uint8_t>(count, array.unsigned_values)));
      const auto odd = std::ranges::find_if(array.unsigned_values, [](uint64_t v) { return v > 1; });
      if (odd != array.unsigned_values.end()) {
        return bad(first + static_cast<uint64_t>(odd - array.unsigned_values.begin()), "array element", "is " + std::to_string(*odd),
                   "a bool is 0 or 1", "corrupt header");
      }
      break;
    }
    case MetaType::kArray:
      return in_.broken(ErrorCode::kUnsupported, at, "array element type", "is array", "arrays of numbers or strings are read",
                        "no known model has nested arrays");
  }
  if (array.size() != count) return bad(count_at, "array length", "is " + group_digits(count), "");
  return MetaValue{MetaType::kArray, std::make_shared<const MetaArray>(std::move(array))};
}

Status HeaderParser::read_alignment(const MetaValue& value, uint64_t at) {
  const auto* alignment = std::get_if<uint64_t>(&value.value);
  if (value.type != MetaType::kU32 || alignment == nullptr)
    return bad(at, "value", "has type " + std::string(name_of(value.type)), "u32 is needed", "corrupt header");
  if (!is_valid_alignment(*alignment)) {
    return bad(at, "value", "is " + group_digits(*alignment), "a power of two from 8 to " + group_digits(kMaxAlignment) + " is needed",
               "corrupt header");
  }
  header_.alignment = *alignment;
  return {};
}

Status HeaderParser::read_tensor(uint64_t number) {
  const uint64_t start = in_.offset();
  TensorInfo tensor;
  ASSAY_ASSIGN(tensor.name, read_name("name", "tensor " + group_digits(number), kMaxNameBytes, "tensor name"));
  in_.about("tensor '" + printable(tensor.name) + "'");
  if (!header_.index.emplace(tensor.name, header_.tensors.size()).second)
    return bad(start, "name", "is given twice", "tensor names are unique", "corrupt, or two models joined");
  const uint64_t dims_at = in_.offset();
  ASSAY_ASSIGN(const uint32_t n_dims, in_.number<uint32_t>("number of dimensions"));
  if (n_dims > kMaxDims)
    return bad(dims_at, "number of dimensions", "is " + group_digits(n_dims), "at most 4 are possible", "corrupt header");
  if (n_dims == 0) header_.warnings.push_back("tensor '" + printable(tensor.name) + "' has no dimensions: read as one value");
  for (uint32_t d = 0; d < n_dims; ++d) {
    const uint64_t at = in_.offset();
    ASSAY_ASSIGN(tensor.dims[d], in_.number<uint64_t>("dimension"));
    const uint64_t dim = tensor.dims[d];
    if (dim > INT64_MAX)
      return bad(at, "dimension " + std::to_string(d), "is " + std::to_string(static_cast<int64_t>(dim)), "it must be positive",
                 "corrupt header");
    if (dim == 0) return bad(at, "dimension " + std::to_string(d), "is 0", "a weight tensor has at least one value", "corrupt header");
  }
  tensor.n_dims = std::max<uint32_t>(n_dims, 1);
  const uint64_t type_at = in_.offset();
  ASSAY_ASSIGN(const uint32_t type_id, in_.number<uint32_t>("type"));
  // Compared as numbers: an unknown id never becomes an enum value.
  const auto known =
      std::ranges::find_if(all_types(), [&](const GgmlTypeInfo& info) { return static_cast<uint32_t>(info.type) == type_id; });
  if (known == all_types().end()) {
    const bool retired = type_id <= static_cast<uint32_t>(all_types().back().type);
    return in_.broken(ErrorCode::kUnsupported, type_at, "type", "is ggml type id " + std::to_string(type_id),
                      "a type of this program's table is needed",
                      retired ? "a type that ggml has removed; convert the original model again" : "newer than this program, or corrupt");
  }
  tensor.type = known->type;
  auto bytes = tensor_bytes(tensor.type, std::span(tensor.dims).first(tensor.n_dims), tensor.name);
  if (!bytes) return in_.broken(bytes.error().code, dims_at, "dimensions", "are impossible: " + bytes.error().message, "");
  tensor.bytes = *bytes;
  const uint64_t offset_at = in_.offset();
  ASSAY_ASSIGN(tensor.offset, in_.number<uint64_t>("data offset"));
  ASSAY_TRY(check_offset(tensor, offset_at));
  header_.tensors.push_back(std::move(tensor));
  return {};
}

// Tensors follow one another in the order of their infos, each padded to the alignment: nothing overlaps, nothing hides in between.
Status HeaderParser::check_offset(const TensorInfo& tensor, uint64_t at) {
  const uint64_t expected = data_end_.value_or(0);
  if (tensor.offset != expected) {
    const char* cause = tensor.offset % header_.alignment != 0 ? "not a multiple of the alignment"
                        : tensor.offset > expected             ? "a hole, or tensors out of order"
                                                               : "overlaps the tensor before, or out of order";
    return bad(at, "data offset", "is " + group_digits(tensor.offset), group_digits(expected) + " is needed, where the tensor before ends",
               cause);
  }
  data_end_ = (data_end_ + tensor.bytes).round_up(header_.alignment);
  if (data_end_.fits(INT64_MAX)) return {};
  return bad(at, "data offset", "plus " + group_digits(tensor.bytes) + " bytes passes 2^63", "", "corrupt header");
}

// Up to the first tensor. A file without tensors may end before.
Status HeaderParser::read_padding() {
  in_.about("");
  const CheckedSize start = CheckedSize(in_.offset()).round_up(header_.alignment);
  header_.data_offset = start.value_or(0);
  const uint64_t padding = header_.data_offset - in_.offset();
  if (header_.tensors.empty() && in_.remaining() < padding) {
    header_.data_offset = source_.size();
    return {};
  }
  ASSAY_ASSIGN(const std::string_view bytes, in_.take(padding, "padding after the tensor infos"));
  if (bytes.find_first_not_of('\0') != std::string_view::npos) header_.warnings.push_back("the padding after the header is not zero");
  return {};
}

Status HeaderParser::check_extents() {
  const uint64_t size = source_.size();
  for (const TensorInfo& tensor : header_.tensors) {
    const CheckedSize end = CheckedSize(header_.data_offset) + tensor.offset + tensor.bytes;
    if (end.fits(size)) continue;
    in_.about("tensor '" + printable(tensor.name) + "'");
    return bad(header_.data_offset + tensor.offset, "data", end.valid() ? "ends at byte " + group_digits(*end.value()) : "ends past 2^64",
               "the file has " + group_digits(size), "truncated download?");
  }
  const uint64_t end = header_.data_offset + data_end_.value_or(0);
  if (end > size) header_.warnings.push_back("the padding after the last tensor is missing");
  if (end < size) header_.warnings.push_back(group_digits(size - end) + " bytes follow the last tensor and are ignored");
  return {};
}

Result<GgufHeader> HeaderParser::parse() {
  ASSAY_TRY(read_magic());
  ASSAY_TRY(read_version());
  ASSAY_ASSIGN(const uint64_t n_tensors, read_count("tensor count", kMinTensorEntry, kMaxTensors));
  ASSAY_ASSIGN(const uint64_t n_keys, read_count("metadata count", kMinKeyEntry, kMaxKeys));
  for (uint64_t i = 0; i < n_keys; ++i) ASSAY_TRY(read_key_value(i));
  header_.tensors.reserve(n_tensors);
  header_.index.reserve(n_tensors);
  for (uint64_t i = 0; i < n_tensors; ++i) ASSAY_TRY(read_tensor(i));
  ASSAY_TRY(read_padding());
  ASSAY_TRY(check_extents());
  return std::move(header_);
}

}  // namespace

bool is_valid_alignment(uint64_t alignment) { return alignment >= 8 && alignment <= kMaxAlignment && std::has_single_bit(alignment); }

Result<GgufHeader> read_gguf_header(const ByteSource& source) { return HeaderParser(source).parse(); }

}  // namespace assay
