#include "assay/file/gguf_values.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "assay/base/text.h"

namespace assay {
namespace {

constexpr uint64_t kElementsAtATime = 8192;  // of a numeric array
// Metadata may be wider in memory than in the file (a u8 becomes 8 bytes): at most this plus twice the file, and never more
// than the absolute limit, which also stops sparse files of terabytes. Real metadata stays below 64 MiB.
constexpr uint64_t kMemoryAllowance = uint64_t{32} << 20;
constexpr uint64_t kMemoryLimit = uint64_t{1} << 30;

}  // namespace

Result<MetaType> GgufValueReader::read_type(const char* field) {
  const uint64_t at = in_.offset();
  ASSAY_ASSIGN(const uint32_t id, in_.number<uint32_t>(field));
  if (id > static_cast<uint32_t>(MetaType::kF64))
    return broken_at(at, field, "is " + std::to_string(id), "0 to 12 are known", "corrupt, or newer than this program");
  return static_cast<MetaType>(id);
}

Result<MetaValue> GgufValueReader::read(MetaType type) {
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
      if (flag > 1) return broken_at(at, "value", "is " + std::to_string(flag), "a bool is 0 or 1", "corrupt header");
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
  return broken_at(in_.offset(), "value type", "is unknown", "");
}

Status GgufValueReader::charge(CheckedSize bytes, const char* field) {
  held_ = held_ + bytes;
  const CheckedSize in_proportion = CheckedSize(2) * source_bytes_ + kMemoryAllowance;
  const uint64_t limit = std::min(in_proportion.value_or(kMemoryLimit), kMemoryLimit);
  if (held_.fits(limit)) return {};
  return in_.broken(ErrorCode::kUnsupported, in_.offset(), field,
                    "brings the metadata to " + format_bytes(held_.value_or(UINT64_MAX)) + " in memory",
                    "at most " + format_bytes(limit) + " are held", "no known model needs so much; corrupt?");
}

template <class File, class Wide>
Status GgufValueReader::read_elements(uint64_t count, std::vector<Wide>& out) {
  const uint64_t at = in_.offset();
  if (count > in_.remaining() / sizeof(File)) {
    return broken_at(at, "array", "has " + group_digits(count) + " elements of " + std::to_string(sizeof(File)) + " bytes",
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

Status GgufValueReader::read_strings(uint64_t count, StringList& out) {
  if (count > in_.remaining() / sizeof(uint64_t)) {
    return broken_at(in_.offset(), "array", "has " + group_digits(count) + " strings", group_digits(in_.remaining()) + " bytes are left",
                     "truncated download, or a corrupt length?");
  }
  ASSAY_TRY(charge(CheckedSize(count) * sizeof(uint64_t), "array"));
  out.reserve(count, 0);
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t at = in_.offset();
    ASSAY_ASSIGN(const uint64_t length, in_.number<uint64_t>("string length in array"));
    if (length > in_.remaining()) {
      return broken_at(at, "string " + group_digits(i) + " of the array", "has length " + group_digits(length),
                       group_digits(in_.remaining()) + " bytes are left", "truncated download, or a corrupt length?");
    }
    ASSAY_TRY(charge(length, "string in array"));
    ASSAY_ASSIGN(const std::string_view text, in_.take(length, "string in array"));
    out.push_back(text);
  }
  return {};
}

Result<MetaValue> GgufValueReader::read_array() {
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
        return broken_at(first + static_cast<uint64_t>(odd - array.unsigned_values.begin()), "array element", "is " + std::to_string(*odd),
                         "a bool is 0 or 1", "corrupt header");
      }
      break;
    }
    case MetaType::kArray:
      return in_.broken(ErrorCode::kUnsupported, at, "array element type", "is array", "arrays of numbers or strings are read",
                        "no known model has nested arrays");
  }
  if (array.size() != count) return broken_at(count_at, "array length", "is " + group_digits(count), "");
  return MetaValue{MetaType::kArray, std::make_shared<const MetaArray>(std::move(array))};
}

}  // namespace assay
