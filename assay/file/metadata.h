// GGUF metadata: an ordered list of typed key/value pairs. Also the common language for everything a model file says
// about itself: a Hugging Face directory is translated into the same keys.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "assay/base/result.h"

namespace assay {

// The numbers are the file format's (methods.md 4.2.1).
enum class MetaType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

// Strings of one array, kept in one buffer: a vocabulary of 150,000 tokens is two allocations, not 150,000.
class StringList {
 public:
  size_t size() const { return ends_.size(); }
  std::string_view operator[](size_t i) const {
    const uint64_t begin = i ? ends_[i - 1] : 0;
    return std::string_view(bytes_).substr(begin, ends_[i] - begin);
  }
  void push_back(std::string_view text) {
    bytes_ += text;
    ends_.push_back(bytes_.size());
  }
  void reserve(size_t count, size_t bytes) { ends_.reserve(count), bytes_.reserve(bytes); }
  bool operator==(const StringList&) const = default;

 private:
  std::string bytes_;
  std::vector<uint64_t> ends_;
};

struct MetaArray;

// One value. Integers keep their width in `type`; the payload is the widest of their kind.
struct MetaValue {
  MetaType type = MetaType::kU32;
  // bool for kBool; uint64_t for unsigned; int64_t for signed; double for kF32/kF64; string; array.
  std::variant<uint64_t, int64_t, double, bool, std::string, std::shared_ptr<const MetaArray>> value;

  static MetaValue u32(uint32_t v);
  static MetaValue u64(uint64_t v);
  static MetaValue i32(int32_t v);
  static MetaValue f32(float v);
  static MetaValue boolean(bool v);
  static MetaValue string(std::string v);
  static MetaValue strings(StringList v);
  static MetaValue i32s(std::vector<int32_t> v);
  static MetaValue f32s(std::vector<float> v);
  bool operator==(const MetaValue& other) const;
};

// An array; one member is used, by element type. Nested arrays are refused by the reader (as llama.cpp does).
struct MetaArray {
  MetaType element = MetaType::kU32;
  std::vector<uint64_t> unsigned_values;  // kU8 kU16 kU32 kU64 kBool
  std::vector<int64_t> signed_values;     // kI8 kI16 kI32 kI64
  std::vector<double> real_values;        // kF32 kF64
  StringList string_values;               // kString
  size_t size() const;
  bool operator==(const MetaArray&) const = default;
};

class Metadata {
 public:
  struct Entry {
    std::string key;
    MetaValue value;
  };
  const std::vector<Entry>& entries() const { return entries_; }
  const MetaValue* find(std::string_view key) const;
  bool contains(std::string_view key) const { return find(key) != nullptr; }
  // Adds, or replaces in place.
  void set(std::string key, MetaValue value);
  void erase(std::string_view key);

  // Typed look-ups. Absent key: nullopt. Present with another type: kBadInput naming key, type found and type needed.
  // Integers accept any integer type that holds the value.
  Result<std::optional<uint64_t>> get_u64(std::string_view key) const;
  Result<std::optional<int64_t>> get_i64(std::string_view key) const;
  Result<std::optional<double>> get_f64(std::string_view key) const;
  Result<std::optional<bool>> get_bool(std::string_view key) const;
  Result<std::optional<std::string>> get_string(std::string_view key) const;
  Result<const StringList*> get_strings(std::string_view key) const;  // nullptr if absent
  Result<std::optional<std::vector<int64_t>>> get_i64s(std::string_view key) const;
  Result<std::optional<std::vector<double>>> get_f64s(std::string_view key) const;

 private:
  std::vector<Entry> entries_;
  std::unordered_map<std::string, size_t> index_;
};

std::string_view name_of(MetaType type);
// A value as one line of text, arrays shortened to `max_elements`: for `inspect`.
std::string to_text(const MetaValue& value, size_t max_elements = 5);

}  // namespace assay
