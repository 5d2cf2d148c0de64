// Values of a JSON tree from an untrusted file, each with its place in messages: type, range and surplus keys are checked where they are
// read.
//   who: "edits.json", path: "variants[3].weights[0].level" -> "edits.json: variants[3].weights[0].level is 7; -1 to 1 is needed"
// Every error is kBadInput. Non-goals: parsing (json_text.h, yaml_text.h), schemas.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>

#include "assay/base/result.h"

namespace assay {

struct JsonPlace {
  std::string who;   // the file
  std::string path;  // in it; empty: its root

  JsonPlace key(std::string_view name) const;
  JsonPlace item(size_t index) const;
  tl::unexpected<Error> refuse(std::string found, std::string needed, std::string cause = {}) const;
};

// "is a list", "is \"abc\"", "is 99": what a message says was found.
std::string found_in(const nlohmann::json& node);

// Limits are inclusive. A number with a point is no integer; a real is finite.
Result<int64_t> json_integer(const nlohmann::json& node, const JsonPlace& place, int64_t low, int64_t high);
Result<uint64_t> json_unsigned(const nlohmann::json& node, const JsonPlace& place, uint64_t high);
Result<double> json_real(const nlohmann::json& node, const JsonPlace& place, double low, double high);
// 1 to `limit` bytes without control characters.
Result<std::string> json_string(const nlohmann::json& node, const JsonPlace& place, size_t limit);
// A list of `low` to `high` items.
Status json_list(const nlohmann::json& node, const JsonPlace& place, size_t low, size_t high);

// An object, and no key that is not in `known`. Views `node`.
class JsonObject {
 public:
  static Result<JsonObject> open(const nlohmann::json& node, JsonPlace place, std::span<const std::string_view> known);

  bool has(std::string_view key) const { return find(key) != nullptr; }
  const nlohmann::json* find(std::string_view key) const;  // nullptr: not given
  const JsonPlace& place() const { return place_; }
  JsonPlace place(std::string_view key) const { return place_.key(key); }

  // Of a key that must be there.
  Result<int64_t> integer(std::string_view key, int64_t low, int64_t high) const;
  Result<uint64_t> number(std::string_view key, uint64_t high) const;
  Result<double> real(std::string_view key, double low, double high) const;
  Result<std::string> text(std::string_view key, size_t limit) const;
  Result<const nlohmann::json*> list(std::string_view key, size_t low, size_t high) const;

 private:
  JsonObject(const nlohmann::json& node, JsonPlace place) : node_(&node), place_(std::move(place)) {}
  Result<const nlohmann::json*> needed(std::string_view key) const;
  const nlohmann::json* node_;
  JsonPlace place_;
};

}  // namespace assay
