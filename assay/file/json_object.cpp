#include "assay/file/json_object.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

#include "assay/base/text.h"

namespace assay {

using nlohmann::json;

JsonPlace JsonPlace::key(std::string_view name) const { return {who, path.empty() ? std::string(name) : path + "." + std::string(name)}; }

JsonPlace JsonPlace::item(size_t index) const { return {who, path + "[" + std::to_string(index) + "]"}; }

tl::unexpected<Error> JsonPlace::refuse(std::string found, std::string needed, std::string cause) const {
  return fail(ErrorCode::kBadInput, {path.empty() ? who : who + ": " + path, std::move(found), std::move(needed), std::move(cause)});
}

std::string found_in(const json& node) {
  switch (node.type()) {
    case json::value_t::null:
      return "is null";
    case json::value_t::object:
      return "is an object";
    case json::value_t::array:
      return "is a list";
    case json::value_t::string:
      return "is \"" + printable(node.get_ref<const std::string&>()) + "\"";
    case json::value_t::boolean:
      return node.get<bool>() ? "is true" : "is false";
    default:
      return "is " + node.dump();
  }
}

Result<int64_t> json_integer(const json& node, const JsonPlace& place, int64_t low, int64_t high) {
  const bool fits = node.is_number_integer() && (!node.is_number_unsigned() || node.get<uint64_t>() <= INT64_MAX);
  const int64_t value = fits ? node.get<int64_t>() : 0;
  if (fits && value >= low && value <= high) return value;
  return place.refuse(found_in(node), fmt::format("an integer from {} to {} is needed", low, high));
}

Result<uint64_t> json_unsigned(const json& node, const JsonPlace& place, uint64_t high) {
  if (node.is_number_unsigned() && node.get<uint64_t>() <= high) return node.get<uint64_t>();
  // A tree that was built and not parsed may hold a signed number.
  if (node.is_number_integer() && !node.is_number_unsigned() && node.get<int64_t>() >= 0 &&
      static_cast<uint64_t>(node.get<int64_t>()) <= high)
    return static_cast<uint64_t>(node.get<int64_t>());
  return place.refuse(found_in(node), fmt::format("an integer from 0 to {} is needed", high));
}

Result<double> json_real(const json& node, const JsonPlace& place, double low, double high) {
  const double value = node.is_number() ? node.get<double>() : std::nan("");
  if (value >= low && value <= high) return value;
  return place.refuse(found_in(node), fmt::format("a number from {} to {} is needed", low, high));
}

Result<std::string> json_string(const json& node, const JsonPlace& place, size_t limit) {
  if (!node.is_string()) return place.refuse(found_in(node), "text is needed");
  const std::string& text = node.get_ref<const std::string&>();
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; };
  if (text.empty() || text.size() > limit || std::any_of(text.begin(), text.end(), is_control))
    return place.refuse(found_in(node), fmt::format("1 to {} bytes without control characters are needed", limit));
  return text;
}

Status json_list(const json& node, const JsonPlace& place, size_t low, size_t high) {
  if (!node.is_array()) return place.refuse(found_in(node), "a list is needed");
  if (node.size() >= low && node.size() <= high) return {};
  return place.refuse("has " + group_digits(node.size()) + " items", group_digits(low) + " to " + group_digits(high) + " are needed");
}

Result<JsonObject> JsonObject::open(const json& node, JsonPlace place, std::span<const std::string_view> known) {
  if (!node.is_object()) return place.refuse(found_in(node), "an object is needed");
  for (const auto& [name, value] : node.items()) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    const std::vector<std::string> names(known.begin(), known.end());
    const std::string near = nearest_name(name, names);
    return place.refuse("has the unknown key '" + printable(name) + "'", "known are " + join(names, ", "),
                        near.empty() ? "" : "did you mean " + near + "?");
  }
  return JsonObject(node, std::move(place));
}

const json* JsonObject::find(std::string_view key) const {
  const auto found = node_->find(key);
  return found == node_->end() ? nullptr : &*found;
}

Result<const json*> JsonObject::needed(std::string_view key) const {
  if (const json* value = find(key)) return value;
  return place_.refuse("has no '" + std::string(key) + "'", "it is needed here");
}

Result<int64_t> JsonObject::integer(std::string_view key, int64_t low, int64_t high) const {
  ASSAY_ASSIGN(const json* value, needed(key));
  return json_integer(*value, place(key), low, high);
}

Result<uint64_t> JsonObject::number(std::string_view key, uint64_t high) const {
  ASSAY_ASSIGN(const json* value, needed(key));
  return json_unsigned(*value, place(key), high);
}

Result<double> JsonObject::real(std::string_view key, double low, double high) const {
  ASSAY_ASSIGN(const json* value, needed(key));
  return json_real(*value, place(key), low, high);
}

Result<std::string> JsonObject::text(std::string_view key, size_t limit) const {
  ASSAY_ASSIGN(const json* value, needed(key));
  return json_string(*value, place(key), limit);
}

Result<const json*> JsonObject::list(std::string_view key, size_t low, size_t high) const {
  ASSAY_ASSIGN(const json* value, needed(key));
  ASSAY_TRY(json_list(*value, place(key), low, high));
  return value;
}

}  // namespace assay
