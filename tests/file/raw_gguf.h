// GGUF bytes laid down field by field, right or wrong: what the bad-input tests are made of.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace assay::testing_files {

template <class T>
std::string raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof(T)};
}

inline std::string raw_string(std::string_view text) { return raw<uint64_t>(text.size()).append(text); }

// A key with its value type; the caller appends the value.
inline std::string raw_key(std::string_view key, uint32_t type) { return raw_string(key) + raw<uint32_t>(type); }
inline std::string raw_u32(std::string_view key, uint32_t value) { return raw_key(key, 4) + raw(value); }
inline std::string raw_array(std::string_view key, uint32_t element, uint64_t count, std::string_view elements) {
  return (raw_key(key, 9) + raw(element) + raw(count)).append(elements);
}

// Every field of a tensor info as it will stand in the file.
struct RawTensor {
  std::string name = "a";
  std::vector<uint64_t> dims = {8};
  uint32_t type = 0;  // F32
  uint64_t offset = 0;
  std::optional<uint32_t> n_dims = std::nullopt;       // default: dims.size()
  std::optional<uint64_t> name_length = std::nullopt;  // default: name.size()

  std::string bytes() const {
    std::string out = raw<uint64_t>(name_length.value_or(name.size())) + name;
    out += raw<uint32_t>(n_dims.value_or(static_cast<uint32_t>(dims.size())));
    for (const uint64_t dim : dims) out += raw(dim);
    return out + raw(type) + raw(offset);
  }
};

// A file of two F32 tensors, 32 and 12 bytes, that loads without warnings; a test changes one thing.
struct RawGguf {
  std::string magic = "GGUF";
  uint32_t version = 3;
  std::vector<std::string> keys = {raw_key("general.architecture", 8) + raw_string("llama"), raw_u32("llama.block_count", 1)};
  std::vector<RawTensor> tensors = {{}, {.name = "blk.0.b", .dims = {3}, .offset = 32}};
  std::optional<uint64_t> n_keys;
  std::optional<uint64_t> n_tensors;
  uint64_t alignment = 32;
  std::string data = std::string(32, 'A') + std::string(12, 'B') + std::string(20, '\0');

  std::string header() const {
    std::string out =
        magic + raw(version) + raw<uint64_t>(n_tensors.value_or(tensors.size())) + raw<uint64_t>(n_keys.value_or(keys.size()));
    for (const std::string& key : keys) out += key;
    for (const RawTensor& tensor : tensors) out += tensor.bytes();
    return out;
  }
  std::string bytes() const {
    std::string out = header();
    out.resize((out.size() + alignment - 1) / alignment * alignment);
    return out + data;
  }
};

}  // namespace assay::testing_files
