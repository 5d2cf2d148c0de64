#include "assay/file/safetensors_header.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <utility>

#include "assay/base/checked.h"
#include "assay/base/text.h"
#include "assay/file/foreign_format.h"

namespace assay {
namespace {

using nlohmann::json;

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the reference reader's limit
constexpr size_t kMaxRank = 64;                    // torch's limit
constexpr uint64_t kMaxDim = uint64_t{1} << 53;    // beyond it JSON readers disagree
// An entry costs about 250 bytes of memory for as few as 50 in the file; real files have below 100,000.
constexpr size_t kMaxTensors = size_t{1} << 18;
constexpr size_t kMaxMetadataEntries = size_t{1} << 16;

struct Dtype {
  std::string_view name;
  uint32_t bits;
};
constexpr Dtype kDtypes[] = {
    {"BOOL", 8}, {"U8", 8},   {"I8", 8},   {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8},
    {"I16", 16}, {"U16", 16}, {"F16", 16}, {"BF16", 16},   {"I32", 32},    {"U32", 32},    {"F32", 32},        {"I64", 64},
    {"U64", 64}, {"F64", 64}, {"C64", 64}, {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6},
};

const Dtype* find_dtype(std::string_view name) {
  const auto* found = std::ranges::find(kDtypes, name, &Dtype::name);
  return found == std::end(kDtypes) ? nullptr : found;
}

tl::unexpected<Error> broken(const ByteSource& source, ErrorCode code, const std::string& subject, std::string found, std::string needed,
                             std::string cause = {}) {
  return fail(code, {"safetensors: " + source.name() + ": " + subject, std::move(found), std::move(needed), std::move(cause)});
}

// Counts the characters that the JSON parser has taken, so that complaints can name the byte.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;
  CountingIterator(const char* at, const char** seen) : at_(at), seen_(seen) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    *seen_ = ++at_;
    return *this;
  }
  CountingIterator operator++(int) {
    CountingIterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const CountingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  const char** seen_;
};

// Accepts exactly { name: {dtype, shape, data_offsets}, "__metadata__": {string: string} } and builds the header from it.
// Anything else stops the parser at once, so that neither depth nor surplus is ever held.
class HeaderHandler final : public nlohmann::json_sax<json> {
 public:
  HeaderHandler(SafetensorsHeader& header, const ByteSource& source) : header_(header), source_(source) {}
  const std::optional<Error>& error() const { return error_; }
  const char** position() { return &position_; }
  void begin_at(const char* text) { begin_ = position_ = text; }

  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool binary(json::binary_t&) override { return unexpected("binary"); }
  bool number_integer(json::number_integer_t v) override { return unexpected("the negative number " + std::to_string(v)); }
  bool number_float(json::number_float_t, const std::string& text) override { return unexpected("the number " + printable(text)); }
  bool number_unsigned(json::number_unsigned_t value) override;
  bool string(std::string& text) override;
  bool start_object(std::size_t) override;
  bool key(std::string& name) override;
  bool end_object() override;
  bool start_array(std::size_t) override;
  bool end_array() override;
  bool parse_error(std::size_t, const std::string&, const json::exception&) override {
    return refuse("header", "is not JSON", "a JSON object is needed");
  }

 private:
  enum class Place { kOutside, kTop, kEntry, kMetadata, kShape, kOffsets };

  std::string subject() const {
    if (place_ == Place::kMetadata) return "__metadata__ '" + printable(field_) + "'";
    if (place_ == Place::kOutside || place_ == Place::kTop) return "header";
    return "tensor '" + printable(tensor_.name) + "'" + (field_.empty() ? "" : ": field '" + printable(field_) + "'");
  }
  bool refuse(const std::string& who, std::string found, std::string needed, ErrorCode code = ErrorCode::kBadInput) {
    const uint64_t at = kLengthBytes + static_cast<uint64_t>(position_ - begin_);
    if (!error_) error_ = broken(source_, code, who + " near byte " + group_digits(at), std::move(found), std::move(needed)).value();
    return false;
  }
  bool unexpected(const std::string& what) {
    switch (place_) {
      case Place::kOutside:
        return refuse("header", "is " + what, "a JSON object is needed");
      case Place::kTop:
        return refuse("tensor '" + printable(field_) + "'", "is " + what, "an object with dtype, shape and data_offsets is needed");
      case Place::kMetadata:
        return refuse(subject(), "is " + what, "a string is needed");
      case Place::kShape:
        return refuse(subject(), "holds " + what, "whole numbers from 0 to 2^53 are needed");
      case Place::kOffsets:
        return refuse(subject(), "holds " + what, "two whole numbers are needed");
      case Place::kEntry:
        break;
    }
    return refuse(subject(), "is " + what, field_ == "dtype" ? "a string is needed" : "an array of whole numbers is needed");
  }
  bool finish_tensor();

  SafetensorsHeader& header_;
  const ByteSource& source_;
  std::optional<Error> error_;
  const char* begin_ = nullptr;
  const char* position_ = nullptr;
  Place place_ = Place::kOutside;
  std::string field_;  // the last key
  SafetensorInfo tensor_;
  std::vector<uint64_t> offsets_;
  std::unordered_set<std::string> fields_;  // of the current entry
  std::unordered_set<std::string> names_;
};

bool HeaderHandler::number_unsigned(json::number_unsigned_t value) {
  if (place_ == Place::kShape) {
    if (value > kMaxDim) return unexpected("the number " + std::to_string(value));
    if (tensor_.shape.size() == kMaxRank) return refuse(subject(), "has more than " + std::to_string(kMaxRank) + " dimensions", "");
    tensor_.shape.push_back(value);
    return true;
  }
  if (place_ == Place::kOffsets) {
    if (offsets_.size() == 2) return refuse(subject(), "has more than two numbers", "begin and end are needed");
    offsets_.push_back(value);
    return true;
  }
  return unexpected("a number");
}

bool HeaderHandler::string(std::string& text) {
  if (place_ == Place::kMetadata) {
    header_.metadata[field_] = std::move(text);
    return true;
  }
  if (place_ == Place::kEntry && field_ == "dtype") {
    if (find_dtype(text) == nullptr)
      return refuse(subject(), "is '" + printable(text) + "'", "a dtype of the safetensors format is needed", ErrorCode::kUnsupported);
    tensor_.dtype = std::move(text);
    return true;
  }
  return unexpected("a string");
}

bool HeaderHandler::start_object(std::size_t) {
  if (place_ == Place::kOutside) {
    place_ = Place::kTop;
    return true;
  }
  if (place_ != Place::kTop) return unexpected("an object");
  if (field_ == "__metadata__") {
    place_ = Place::kMetadata;
    return true;
  }
  if (header_.tensors.size() == kMaxTensors)
    return refuse("header", "names more than " + group_digits(kMaxTensors) + " tensors", "", ErrorCode::kUnsupported);
  place_ = Place::kEntry;
  tensor_ = {};
  tensor_.name = std::exchange(field_, {});
  offsets_.clear();
  fields_.clear();
  return true;
}

bool HeaderHandler::key(std::string& name) {
  if (place_ == Place::kTop) {
    if (!names_.insert(name).second)
      return refuse("tensor '" + printable(name) + "'", "is given twice", "names are unique: readers would disagree");
  } else if (place_ == Place::kMetadata) {
    if (header_.metadata.contains(name)) return refuse("__metadata__ '" + printable(name) + "'", "is given twice", "keys are unique");
    if (header_.metadata.size() == kMaxMetadataEntries)
      return refuse("__metadata__", "has more than " + group_digits(kMaxMetadataEntries) + " entries", "", ErrorCode::kUnsupported);
  } else {
    const std::string who = "tensor '" + printable(tensor_.name) + "': field '" + printable(name) + "'";
    if (name != "dtype" && name != "shape" && name != "data_offsets")
      return refuse(who, "is unknown", "dtype, shape and data_offsets are the fields of a tensor");
    if (!fields_.insert(name).second) return refuse(who, "is given twice", "readers would disagree");
  }
  field_ = name;
  return true;
}

bool HeaderHandler::start_array(std::size_t) {
  if (place_ == Place::kEntry && field_ == "shape")
    place_ = Place::kShape;
  else if (place_ == Place::kEntry && field_ == "data_offsets")
    place_ = Place::kOffsets;
  else
    return unexpected("an array");
  return true;
}

bool HeaderHandler::end_array() {
  if (place_ == Place::kOffsets && offsets_.size() != 2)
    return refuse(subject(), "has " + std::to_string(offsets_.size()) + " numbers", "begin and end are needed");
  place_ = Place::kEntry;
  return true;
}

bool HeaderHandler::end_object() {
  if (place_ == Place::kTop) {
    place_ = Place::kOutside;
    return true;
  }
  if (place_ == Place::kEntry && !finish_tensor()) return false;
  place_ = Place::kTop;
  return true;
}

// An entry is complete: its byte range must be exactly what dtype and shape need.
bool HeaderHandler::finish_tensor() {
  field_.clear();
  for (const char* needed : {"dtype", "shape", "data_offsets"})
    if (!fields_.contains(needed))
      return refuse(subject(), std::string("has no field '") + needed + "'", "dtype, shape and data_offsets are needed");
  tensor_.begin = offsets_[0];
  tensor_.end = offsets_[1];
  if (tensor_.end < tensor_.begin)
    return refuse(subject(), "has data_offsets " + std::to_string(tensor_.begin) + " to " + std::to_string(tensor_.end),
                  "the end may not be before the begin");
  CheckedSize bits = find_dtype(tensor_.dtype)->bits;
  for (const uint64_t dim : tensor_.shape) bits = bits * dim;
  if (!bits.valid()) return refuse(subject(), "has a shape whose size overflows", "");
  const auto bytes = bits.divide_exact(8).value();
  if (!bytes) return refuse(subject(), "ends within a byte (dtype " + tensor_.dtype + ")", "a whole number of bytes is needed");
  if (*bytes != tensor_.end - tensor_.begin) {
    return refuse(subject(), "has data_offsets that span " + group_digits(tensor_.end - tensor_.begin) + " bytes",
                  "dtype " + tensor_.dtype + " and its shape need " + group_digits(*bytes));
  }
  header_.tensors.push_back(std::move(tensor_));
  return true;
}

// The length word and the text it announces.
Result<std::string> read_header_text(const ByteSource& source) {
  const uint64_t size = source.size();
  std::string first(std::min<uint64_t>(size, 64), '\0');
  ASSAY_TRY(source.read(0, std::as_writable_bytes(std::span(first))));
  const std::string what = foreign_format(first);
  const std::string cause = what.empty() ? "truncated download?" : "this is " + what;
  if (size < kLengthBytes)
    return broken(source, ErrorCode::kBadInput, "header length at byte 0", "is cut off: the file has " + std::to_string(size) + " bytes",
                  "8 bytes are needed", cause);
  uint64_t length = 0;
  std::memcpy(&length, first.data(), sizeof(length));
  const std::string who = "header length at byte 0";
  if (length == 0) return broken(source, ErrorCode::kBadInput, who, "is 0", "the smallest header is '{}'", cause);
  if (length > size - kLengthBytes)
    return broken(source, ErrorCode::kBadInput, who, "is " + group_digits(length), group_digits(size - kLengthBytes) + " bytes follow",
                  cause);
  if (length > kMaxHeaderBytes)
    return broken(source, ErrorCode::kBadInput, who, "is " + group_digits(length),
                  "at most " + group_digits(kMaxHeaderBytes) + " are allowed");
  std::string text(length, '\0');
  ASSAY_TRY(source.read(kLengthBytes, std::as_writable_bytes(std::span(text))));
  return text;
}

// The JSON object between leading white space (noted) and trailing spaces.
Result<std::string_view> trim_header(const ByteSource& source, std::string_view text, std::vector<std::string>& warnings) {
  if (!is_valid_utf8(text)) return broken(source, ErrorCode::kBadInput, "header at byte 8", "is not UTF-8", "JSON text is needed");
  const size_t begin = std::min(text.find_first_not_of(" \t\r\n"), text.size());
  const size_t end = text.find_last_not_of(' ') + 1;
  if (begin == text.size() || text[begin] != '{')
    return broken(source, ErrorCode::kBadInput, "header at byte 8", "does not start with '{'", "a JSON object is needed");
  if (text[end - 1] != '}') {
    return broken(source, ErrorCode::kBadInput, "header near byte " + group_digits(kLengthBytes + end - 1),
                  "ends with '" + printable(text.substr(end - 1, 1)) + "'", "'}' and then nothing but spaces is needed");
  }
  if (begin > 0) warnings.push_back("the header starts with white space");
  return text.substr(begin, end - begin);
}

// The data section is covered exactly: no overlap, no hole, no byte left over.
Status place_tensors(const ByteSource& source, uint64_t data_offset, std::vector<SafetensorInfo>& tensors) {
  std::ranges::sort(tensors,
                    [](const SafetensorInfo& a, const SafetensorInfo& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  const uint64_t data_bytes = source.size() - data_offset;
  const std::string in_data = " of the data, which starts at byte " + group_digits(data_offset);
  uint64_t expected = 0;
  for (SafetensorInfo& tensor : tensors) {
    const std::string who = "tensor '" + printable(tensor.name) + "'";
    if (tensor.begin != expected) {
      return broken(source, ErrorCode::kBadInput, who + ": data_offsets", "begin at byte " + group_digits(tensor.begin) + in_data,
                    "the tensor before ends at " + group_digits(expected),
                    tensor.begin < expected ? "tensors overlap" : "bytes that belong to no tensor");
    }
    if (tensor.end > data_bytes) {
      return broken(source, ErrorCode::kBadInput, who + ": data_offsets", "end at byte " + group_digits(tensor.end) + in_data,
                    "there are " + group_digits(data_bytes), "truncated download?");
    }
    expected = tensor.end;
    tensor.begin += data_offset;  // both at most the file's size
    tensor.end += data_offset;
  }
  if (expected == data_bytes) return {};
  return broken(source, ErrorCode::kBadInput, "data after byte " + group_digits(data_offset + expected),
                "has " + group_digits(data_bytes - expected) + " bytes that belong to no tensor", "the last tensor must end the file");
}

}  // namespace

Result<SafetensorsHeader> read_safetensors_header(const ByteSource& source) {
  SafetensorsHeader header;
  ASSAY_ASSIGN(const std::string text, read_header_text(source));
  ASSAY_ASSIGN(const std::string_view object, trim_header(source, text, header.warnings));
  HeaderHandler handler(header, source);
  handler.begin_at(text.data());
  *handler.position() = object.data();
  const CountingIterator begin(object.data(), handler.position());
  const CountingIterator end(object.data() + object.size(), handler.position());
  if (!json::sax_parse(begin, end, &handler)) return fail(*handler.error());
  ASSAY_TRY(place_tensors(source, kLengthBytes + text.size(), header.tensors));
  return header;
}

}  // namespace assay
