#include "assay/file/metadata.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "assay/base/text.h"

namespace assay {
namespace {

MetaValue array_value(MetaArray array) { return {MetaType::kArray, std::make_shared<const MetaArray>(std::move(array))}; }

bool is_unsigned(MetaType type) {
  return type == MetaType::kU8 || type == MetaType::kU16 || type == MetaType::kU32 || type == MetaType::kU64;
}
bool is_signed(MetaType type) {
  return type == MetaType::kI8 || type == MetaType::kI16 || type == MetaType::kI32 || type == MetaType::kI64;
}
bool is_real(MetaType type) { return type == MetaType::kF32 || type == MetaType::kF64; }

const MetaArray* array_of(const MetaValue& value) {
  const auto* array = std::get_if<std::shared_ptr<const MetaArray>>(&value.value);
  return array == nullptr ? nullptr : array->get();
}

std::string describe_type(const MetaValue& value) {
  const MetaArray* array = array_of(value);
  return array == nullptr ? std::string(name_of(value.type)) : "array of " + std::string(name_of(array->element));
}

tl::unexpected<Error> wrong_type(std::string_view key, const MetaValue& value, std::string needed) {
  return fail(ErrorCode::kBadInput,
              {"metadata: key '" + printable(key) + "'", "has type " + describe_type(value), std::move(needed) + " is needed", ""});
}

tl::unexpected<Error> out_of_range(std::string_view key, std::string found, std::string needed) {
  return fail(ErrorCode::kBadInput,
              {"metadata: key '" + printable(key) + "'", "is " + std::move(found), std::move(needed) + " is needed", ""});
}

std::string quoted(std::string_view text) { return "\"" + printable(text, 60) + "\""; }

std::string real_text(double value, MetaType type) {
  return type == MetaType::kF32 ? fmt::format("{}", static_cast<float>(value)) : fmt::format("{}", value);
}

}  // namespace

MetaValue MetaValue::u32(uint32_t v) { return {MetaType::kU32, uint64_t{v}}; }
MetaValue MetaValue::u64(uint64_t v) { return {MetaType::kU64, v}; }
MetaValue MetaValue::i32(int32_t v) { return {MetaType::kI32, int64_t{v}}; }
MetaValue MetaValue::f32(float v) { return {MetaType::kF32, double{v}}; }
MetaValue MetaValue::boolean(bool v) { return {MetaType::kBool, v}; }
MetaValue MetaValue::string(std::string v) { return {MetaType::kString, std::move(v)}; }
MetaValue MetaValue::strings(StringList v) {
  MetaArray array;
  array.element = MetaType::kString;
  array.string_values = std::move(v);
  return array_value(std::move(array));
}
MetaValue MetaValue::i32s(std::vector<int32_t> v) {
  MetaArray array;
  array.element = MetaType::kI32;
  array.signed_values.assign(v.begin(), v.end());
  return array_value(std::move(array));
}
MetaValue MetaValue::f32s(std::vector<float> v) {
  MetaArray array;
  array.element = MetaType::kF32;
  array.real_values.assign(v.begin(), v.end());
  return array_value(std::move(array));
}

bool MetaValue::operator==(const MetaValue& other) const {
  if (type != other.type) return false;
  const MetaArray* mine = array_of(*this);
  const MetaArray* theirs = array_of(other);
  if (mine == nullptr || theirs == nullptr) return value == other.value;
  return *mine == *theirs;
}

size_t MetaArray::size() const {
  if (element == MetaType::kString) return string_values.size();
  if (is_signed(element)) return signed_values.size();
  return is_real(element) ? real_values.size() : unsigned_values.size();
}

const MetaValue* Metadata::find(std::string_view key) const {
  const auto found = index_.find(std::string(key));
  return found == index_.end() ? nullptr : &entries_[found->second].value;
}

void Metadata::set(std::string key, MetaValue value) {
  const auto [place, added] = index_.try_emplace(key, entries_.size());
  if (added) {
    entries_.push_back({std::move(key), std::move(value)});
  } else {
    entries_[place->second].value = std::move(value);
  }
}

void Metadata::erase(std::string_view key) {
  const auto found = index_.find(std::string(key));
  if (found == index_.end()) return;
  const size_t position = found->second;
  index_.erase(found);
  entries_.erase(entries_.begin() + static_cast<ptrdiff_t>(position));
  for (auto& [name, i] : index_) i -= i > position;
}

Result<std::optional<uint64_t>> Metadata::get_u64(std::string_view key) const {
  const MetaValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* number = std::get_if<uint64_t>(&value->value)) return *number;
  const auto* number = std::get_if<int64_t>(&value->value);
  if (number == nullptr) return wrong_type(key, *value, "an integer");
  if (*number < 0) return out_of_range(key, std::to_string(*number), "a number of at least 0");
  return static_cast<uint64_t>(*number);
}

Result<std::optional<int64_t>> Metadata::get_i64(std::string_view key) const {
  const MetaValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* number = std::get_if<int64_t>(&value->value)) return *number;
  const auto* number = std::get_if<uint64_t>(&value->value);
  if (number == nullptr) return wrong_type(key, *value, "an integer");
  if (*number > INT64_MAX) return out_of_range(key, std::to_string(*number), "a number below 2^63");
  return static_cast<int64_t>(*number);
}

Result<std::optional<double>> Metadata::get_f64(std::string_view key) const {
  const MetaValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* number = std::get_if<double>(&value->value)) return *number;
  return wrong_type(key, *value, "f32 or f64");
}

Result<std::optional<bool>> Metadata::get_bool(std::string_view key) const {
  const MetaValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* flag = std::get_if<bool>(&value->value)) return *flag;
  return wrong_type(key, *value, "bool");
}

Result<std::optional<std::string>> Metadata::get_string(std::string_view key) const {
  const MetaValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* text = std::get_if<std::string>(&value->value)) return *text;
  return wrong_type(key, *value, "string");
}

Result<const StringList*> Metadata::get_strings(std::string_view key) const {
  const MetaValue* value = find(key);
  if (value == nullptr) return nullptr;
  const MetaArray* array = array_of(*value);
  if (array == nullptr || array->element != MetaType::kString) return wrong_type(key, *value, "array of string");
  return &array->string_values;
}

Result<std::optional<std::vector<int64_t>>> Metadata::get_i64s(std::string_view key) const {
  const MetaValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const MetaArray* array = array_of(*value);
  if (array == nullptr) return wrong_type(key, *value, "array of integers");
  if (is_signed(array->element)) return array->signed_values;
  if (!is_unsigned(array->element)) return wrong_type(key, *value, "array of integers");
  const auto large = std::ranges::find_if(array->unsigned_values, [](uint64_t v) { return v > INT64_MAX; });
  if (large != array->unsigned_values.end())
    return out_of_range(key, "an array that holds " + std::to_string(*large), "numbers below 2^63");
  return std::vector<int64_t>(array->unsigned_values.begin(), array->unsigned_values.end());
}

Result<std::optional<std::vector<double>>> Metadata::get_f64s(std::string_view key) const {
  const MetaValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const MetaArray* array = array_of(*value);
  if (array == nullptr || !is_real(array->element)) return wrong_type(key, *value, "array of f32 or f64");
  return array->real_values;
}

std::string_view name_of(MetaType type) {
  static constexpr std::string_view kNames[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                                "bool", "string", "array", "u64", "i64", "f64"};
  const auto i = static_cast<size_t>(type);
  return i < std::size(kNames) ? kNames[i] : "unknown type";
}

std::string to_text(const MetaValue& value, size_t max_elements) {
  if (const auto* text = std::get_if<std::string>(&value.value)) return quoted(*text);
  if (const auto* flag = std::get_if<bool>(&value.value)) return *flag ? "true" : "false";
  if (const auto* number = std::get_if<uint64_t>(&value.value)) return std::to_string(*number);
  if (const auto* number = std::get_if<int64_t>(&value.value)) return std::to_string(*number);
  if (const auto* number = std::get_if<double>(&value.value)) return real_text(*number, value.type);
  const MetaArray* array = array_of(value);
  if (array == nullptr) return "";
  std::vector<std::string> parts;
  for (size_t i = 0; i < std::min(array->size(), max_elements); ++i) {
    if (array->element == MetaType::kString) {
      parts.push_back(quoted(array->string_values[i]));
    } else if (array->element == MetaType::kBool) {
      parts.push_back(array->unsigned_values[i] ? "true" : "false");
    } else if (is_signed(array->element)) {
      parts.push_back(std::to_string(array->signed_values[i]));
    } else if (is_real(array->element)) {
      parts.push_back(real_text(array->real_values[i], array->element));
    } else {
      parts.push_back(std::to_string(array->unsigned_values[i]));
    }
  }
  if (array->size() <= max_elements) return "[" + join(parts, ", ") + "]";
  return "[" + join(parts, ", ") + (parts.empty() ? "" : ", ") + "... " + group_digits(array->size()) + " in all]";
}

}  // namespace assay
