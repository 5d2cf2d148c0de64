// llama-quantize's --tensor-type-file: tokens `regex=type` separated by white space, no comments. The pattern is lower-cased and searched
// for anywhere in a name; builds differ in whether the first or the last match wins. Each tensor is written once, anchored.
#include <algorithm>
#include <cctype>

#include "assay/base/text.h"
#include "assay/plan/recipe_format.h"

namespace assay {
namespace {

bool is_space(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

// Only tokens with '=', and one at least.
bool recognises(std::string_view text) {
  bool any = false;
  for (auto begin = text.begin();;) {
    begin = std::find_if_not(begin, text.end(), is_space);
    if (begin == text.end()) return any;
    const auto end = std::find_if(begin, text.end(), is_space);
    if (std::find(begin, end, '=') == end) return false;
    any = true;
    begin = end;
  }
}

Result<ReadRecipe> read(std::string_view text, const RecipeReadOptions& options) {
  TypeRules rules(options.who, PatternCase::kLowered);
  size_t line = 1;
  for (auto at = text.begin(); at != text.end();) {
    if (is_space(*at)) {
      line += *at++ == '\n' ? 1 : 0;
      continue;
    }
    const auto end = std::find_if(at, text.end(), is_space);
    const auto equals = std::find(at, end, '=');
    const std::string where = "line " + std::to_string(line);
    if (equals == end)
      return fail(ErrorCode::kBadInput, {options.who + ": " + where + ": '" + printable({at, end}) + "'", "has no '='",
                                         "regex=type is needed", *at == '#' ? "llama-quantize knows no comments" : ""});
    ASSAY_TRY(rules.add({at, equals}, {equals + 1, end}, where));
    at = end;
  }
  ReadRecipe result;
  ASSAY_ASSIGN(ResolvedTypes resolved, rules.resolve(options.tensors, options.overlap));
  result.losses = resolved.losses();
  result.document.types = std::move(resolved.types);
  result.losses.insert(result.losses.end(), rules.warnings().begin(), rules.warnings().end());
  return result;
}

Result<WrittenRecipe> write(const RecipeDocument& document, std::span<const TensorInfo>) {
  WrittenRecipe result;
  ASSAY_ASSIGN(const Recipe recipe, ggml_recipe(without_foreign_types(document, "llama.cpp", result.losses)));
  result.text = to_text(recipe);
  add_document_losses(document, result.losses);
  return result;
}

}  // namespace

const RecipeFormat kTensorTypesFormat = {"tensor-types", "llama-quantize --tensor-type-file", recognises, read, write};

}  // namespace assay
