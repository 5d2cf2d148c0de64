#include "assay/plan/recipe.h"

#include "assay/base/text.h"
#include "assay/plan/name_pattern.h"

namespace assay {

std::string to_text(const Recipe& recipe) {
  std::string text;
  for (const auto& [name, type] : recipe.types)
    text += anchored_pattern(name, PatternCase::kLowered) + "=" + lower_ascii(find_type(type)->name) + "\n";
  return text;
}

}  // namespace assay
