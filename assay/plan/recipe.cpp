#include "assay/plan/recipe.h"

#include "assay/base/text.h"

namespace assay {

std::string to_text(const Recipe& recipe) {
  std::string text;
  for (const auto& [name, type] : recipe.types) {
    std::string escaped;
    for (const char c : name) {
      if (c == '.') escaped += '\\';
      escaped += c;
    }
    text += "^" + escaped + "$=" + lower_ascii(find_type(type)->name) + "\n";
  }
  return text;
}

}  // namespace assay
