#include "assay/file/gguf_header.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <type_traits>
#include <utility>

#include "assay/base/checked.h"
#include "assay/base/text.h"
#include "assay/file/foreign_format.h"
#include "assay/file/gguf_values.h"
#include "assay/file/sequential_reader.h"

namespace assay {
namespace {

// Smallest possible entries, to refuse counts that the file cannot hold before anything is allocated.
constexpr uint64_t kMinKeyEntry = 8 + 1 + 4 + 1;         // length, one character, type, one byte of value
constexpr uint64_t kMinTensorEntry = 8 + 1 + 4 + 4 + 8;  // length, one character, n_dims, type, offset

class HeaderParser {
 public:
  explicit HeaderParser(const ByteSource& source) : source_(source), in_(source, "gguf") {}
  Result<GgufHeader> parse();

 private:
  Status read_magic();
  Status read_version();
  Result<uint64_t> read_count(const char* field, uint64_t min_entry, uint64_t limit);
  Status read_key_value(uint64_t number);
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
  GgufValueReader values_{in_, source_.size()};
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
  ASSAY_TRY(values_.charge(length, field));
  ASSAY_ASSIGN(const std::string_view text, in_.take(length, field));
  if (text.find('\0') != std::string_view::npos)
    return bad(at, field, "'" + printable(text) + "' contains a NUL byte", "text is needed", "corrupt header");
  if (!is_valid_utf8(text)) return bad(at, field, "'" + printable(text) + "' is not UTF-8", "text is needed", "corrupt header");
  return std::string(text);
}

Status HeaderParser::read_key_value(uint64_t number) {
  const uint64_t at = in_.offset();
  ASSAY_ASSIGN(std::string key, read_name("key", "metadata entry " + group_digits(number), kMaxKeyBytes, "key"));
  in_.about("key '" + printable(key) + "'");
  if (header_.metadata.contains(key)) return bad(at, "key", "is given twice", "keys are unique", "corrupt, or made by a faulty editor");
  ASSAY_ASSIGN(const MetaType type, values_.read_type("value type"));
  const uint64_t value_at = in_.offset();
  ASSAY_ASSIGN(MetaValue value, values_.read(type));
  if (key == kAlignmentKey) ASSAY_TRY(read_alignment(value, value_at));
  header_.metadata.set(std::move(key), std::move(value));
  return {};
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
