#include "assay/plan/name_pattern.h"

#include <fmt/format.h>

#include <cctype>

#include "assay/base/text.h"

namespace assay {
namespace {

// Longer patterns are refused: a tensor name has at most 64 bytes.
constexpr size_t kLongestPattern = 1024;

std::string escaped(char c, PatternCase letters) {
  const auto byte = static_cast<unsigned char>(c);
  if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || byte >= 0x80) return {c};
  if (c >= 'A' && c <= 'Z') return letters == PatternCase::kLowered ? "[[:upper:]]" : std::string{c};
  if (c == '.') return "\\.";
  return fmt::format("\\x{:02x}", byte);
}

}  // namespace

std::optional<std::string> literal_name(std::string_view pattern) {
  if (pattern.size() < 2 || pattern.front() != '^' || pattern.back() != '$') return std::nullopt;
  std::string name;
  for (size_t i = 1; i + 1 < pattern.size(); ++i) {
    char c = pattern[i];
    if (c == '\\' && i + 2 < pattern.size() && pattern[i + 1] == '.') {
      c = pattern[++i];
    } else if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '-') {
      return std::nullopt;
    }
    name += c;
  }
  return name;
}

Result<std::regex> compile_pattern(std::string_view pattern, const std::string& who) {
  if (pattern.size() > kLongestPattern)
    return fail(ErrorCode::kUsage,
                {who, "has " + group_digits(pattern.size()) + " bytes", "at most " + group_digits(kLongestPattern) + " are allowed", ""});
  try {
    // libstdc++ can match in polynomial time; back references are refused then.
#ifdef __GLIBCXX__
    return std::regex(std::string(pattern), std::regex_constants::ECMAScript | std::regex_constants::__polynomial);
#else
    return std::regex(std::string(pattern));
#endif
  } catch (const std::regex_error& error) {
    return fail(ErrorCode::kUsage, {who, "is not a regular expression", error.what(), ""});
  }
}

std::string anchored_pattern(std::string_view name, PatternCase letters) {
  std::string pattern = "^";
  for (const char c : name) pattern += escaped(c, letters);
  return pattern + "$";
}

}  // namespace assay
