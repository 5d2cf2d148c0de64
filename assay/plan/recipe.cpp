#include "assay/plan/recipe.h"

#include <fmt/format.h>

#include "assay/base/text.h"

namespace assay {
namespace {

std::string escaped(char c) {
  const auto byte = static_cast<unsigned char>(c);
  if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || byte >= 0x80) return {c};
  if (c >= 'A' && c <= 'Z') return "[[:upper:]]";
  if (c == '.') return "\\.";
  return fmt::format("\\x{:02x}", byte);
}

}  // namespace

std::string to_text(const Recipe& recipe) {
  std::string text;
  for (const auto& [name, type] : recipe.types) {
    text += '^';
    for (const char c : name) text += escaped(c);
    text += "$=" + lower_ascii(find_type(type)->name) + "\n";
  }
  return text;
}

}  // namespace assay
