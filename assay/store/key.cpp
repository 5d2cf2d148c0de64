#include "assay/store/key.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "assay/base/sha256.h"
#include "assay/base/text.h"

namespace assay {
namespace {

std::string escaped(std::string_view value) {
  std::string text;
  for (const char c : value) {
    if (c == '\n')
      text += "\\n";
    else if (c == '\\')
      text += "\\\\";
    else
      text += c;
  }
  return text;
}

std::vector<std::pair<std::string, std::string>> fields_of(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> fields;
  for (const std::string& line : split(text, '\n')) {
    if (line.empty()) continue;
    const size_t equals = std::min(line.find('='), line.size());
    fields.emplace_back(line.substr(0, equals), line.substr(std::min(equals + 1, line.size())));
  }
  return fields;
}

}  // namespace

UnitKey& UnitKey::add(std::string_view name, std::string_view value) {
  fields_.emplace_back(name, value);
  return *this;
}

UnitKey& UnitKey::add(std::string_view name, double value) { return add(name, std::string_view(fmt::format("{:.17g}", value))); }

std::string UnitKey::text() const {
  std::string text;
  for (const auto& [name, value] : fields_) text += name + "=" + escaped(value) + "\n";
  return text;
}

std::string UnitKey::hex() const { return sha256_hex("assay unit\n" + kind_ + "\n" + text()); }

std::vector<std::string> differing_fields(std::string_view ours, std::string_view theirs) {
  const auto left = fields_of(ours), right = fields_of(theirs);
  const std::map<std::string, std::string> known(right.begin(), right.end());
  std::vector<std::string> names;
  for (const auto& [name, value] : left) {
    const auto other = known.find(name);
    if (other == known.end() || other->second != value) names.push_back(name);
  }
  for (const auto& [name, value] : right)
    if (std::none_of(left.begin(), left.end(), [&](const auto& field) { return field.first == name; })) names.push_back(name);
  return names;
}

}  // namespace assay
