// ik_llama.cpp's --custom-q: `regex=type,regex=type`, found anywhere in a name, first match wins. A list may go over several lines.
#include <algorithm>

#include "assay/base/text.h"
#include "assay/plan/recipe_format.h"

namespace assay {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t begin = text.find_first_not_of(kSpace);
  return begin == std::string_view::npos ? "" : text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

// A comma between two rules.
bool recognises(std::string_view text) {
  const size_t equals = text.find('=');
  const size_t comma = text.find(',', equals == std::string_view::npos ? 0 : equals);
  return equals != std::string_view::npos && comma != std::string_view::npos && text.find('#') == std::string_view::npos &&
         text.find('=', comma) != std::string_view::npos && trimmed(text).front() != '{';
}

Result<ReadRecipe> read(std::string_view text, const RecipeReadOptions& options) {
  TypeRules rules(options.who, PatternCase::kKept);
  size_t place = 0;
  for (const std::string& line : split(text, '\n')) {
    for (const std::string& part : split(line, ',')) {
      const std::string_view rule = trimmed(part);
      if (rule.empty()) continue;
      const std::string where = "rule " + std::to_string(++place);
      const size_t equals = rule.find('=');
      if (equals == std::string_view::npos)
        return fail(ErrorCode::kBadInput, {options.who + ": " + where + ": '" + printable(rule) + "'", "has no '='", "regex=type is needed",
                                           "a pattern with a comma?"});
      ASSAY_TRY(rules.add(rule.substr(0, equals), trimmed(rule.substr(equals + 1)), where));
    }
  }
  ReadRecipe result;
  ASSAY_ASSIGN(ResolvedTypes resolved, rules.resolve(options.tensors, options.overlap));
  result.losses = resolved.losses();
  result.document.types = std::move(resolved.types);
  return result;
}

Result<WrittenRecipe> write(const RecipeDocument& document, std::span<const TensorInfo>) {
  WrittenRecipe result;
  std::vector<std::string> rules;
  for (const auto& [name, type] : document.types) rules.push_back(anchored_pattern(name, PatternCase::kKept) + "=" + type);
  result.text = join(rules, ",") + "\n";
  add_document_losses(document, result.losses);
  return result;
}

}  // namespace

const RecipeFormat kCustomQFormat = {"custom-q", "ik_llama.cpp --custom-q", recognises, read, write};

}  // namespace assay
