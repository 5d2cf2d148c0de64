#include "assay/plan/recipe_io.h"

#include <algorithm>
#include <cctype>

#include "assay/base/text.h"
#include "assay/plan/name_pattern.h"
#include "assay/plan/presets.h"

namespace assay {
namespace {

// How many names a message lists.
constexpr size_t kNamesShown = 5;

std::string shown(const std::vector<std::string>& names) {
  std::vector<std::string> first(names.begin(), names.begin() + static_cast<ptrdiff_t>(std::min(names.size(), kNamesShown)));
  for (std::string& name : first) name = "'" + printable(name) + "'";
  return join(first, ", ") + (names.size() > kNamesShown ? " and " + std::to_string(names.size() - kNamesShown) + " more" : "");
}

}  // namespace

Status TensorTypeRules::add(std::string_view token, std::string where) {
  do {
    const size_t equals = token.find('=');
    if (equals == std::string_view::npos || equals == 0)
      return fail(ErrorCode::kUsage, {"recipe: " + where + ": '" + printable(token) + "'", "is not regex=type",
                                      "e.g. ^blk\\.0\\.ffn_down\\.weight$=q5_k", ""});
    // ik_llama's form: the type ends at a comma, another rule follows.
    const size_t comma = std::min(token.find(',', equals), token.size());
    ASSAY_TRY(add_one(token.substr(0, equals), token.substr(equals + 1, comma - equals - 1), where));
    token.remove_prefix(std::min(comma + 1, token.size()));
  } while (!token.empty());
  return {};
}

Status TensorTypeRules::add_one(std::string_view pattern, std::string_view type_name, std::string where) {
  const std::string who = "recipe: " + where + ": '" + printable(pattern) + "'";
  const GgmlTypeInfo* type = find_type(type_name);
  if (type == nullptr) {
    const auto same = [&](const Preset& preset) { return lower_ascii(preset.name) == lower_ascii(type_name); };
    const bool is_mix = std::any_of(all_presets().begin(), all_presets().end(), same);
    std::vector<std::string> known;
    for (const GgmlTypeInfo& info : all_types()) known.push_back(lower_ascii(info.name));
    const std::string near = nearest_name(lower_ascii(type_name), known);
    const std::string cause = is_mix ? "a preset is a mix of types, not a type" : near.empty() ? "" : "did you mean " + near + "?";
    return fail(ErrorCode::kUsage,
                {who, "names the type '" + printable(type_name) + "'", "a ggml type is needed (q4_K, iq4_xs, bf16, ...)", cause});
  }
  Rule rule;
  rule.pattern = lower_ascii(pattern);
  rule.type = type->type;
  rule.where = std::move(where);
  rule.literal = literal_name(rule.pattern);
  if (!rule.literal) {
    ASSAY_ASSIGN(rule.regex, compile_pattern(rule.pattern, who));
  }
  if (rule.pattern != pattern)
    warnings_.push_back("recipe: " + rule.where + ": '" + printable(pattern) + "' is read as '" + printable(rule.pattern) +
                        "': patterns are lower-cased, as by llama-quantize");
  rules_.push_back(std::move(rule));
  return {};
}

Status TensorTypeRules::add_text(std::string_view text) {
  const std::vector<std::string> lines = split(text, '\n');
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string& line = lines[i];
    const auto is_space = [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; };
    for (auto begin = line.begin();;) {
      begin = std::find_if_not(begin, line.end(), is_space);
      if (begin == line.end() || *begin == '#') break;
      const auto end = std::find_if(begin, line.end(), is_space);
      ASSAY_TRY(add(std::string_view(begin, end), "line " + std::to_string(i + 1)));
      begin = end;
    }
  }
  return {};
}

std::optional<size_t> TensorTypeRules::match(const std::string& name) const {
  for (size_t i = 0; i < rules_.size(); ++i)
    if (rules_[i].matches(name)) return i;
  return std::nullopt;
}

Result<ResolvedRecipe> resolve(const TensorTypeRules& rules, std::span<const TensorInfo> tensors) {
  ResolvedRecipe result;
  result.warnings = rules.warnings();
  std::vector<bool> decides(rules.rules().size()), matches(rules.rules().size());
  std::vector<std::string> left_alone, fallen;
  for (const TensorInfo& tensor : tensors) {
    for (size_t i = 0; i < matches.size(); ++i)
      if (!matches[i] && rules.rules()[i].matches(tensor.name)) matches[i] = true;
    const auto rule = rules.match(tensor.name);
    if (!rule) continue;
    decides[*rule] = true;
    const GgmlType wanted = rules.rules()[*rule].type;
    if (!is_quantizable(tensor)) {
      if (wanted != tensor.type) left_alone.push_back(tensor.name);
      continue;
    }
    const GgmlType type = fallback_type(wanted, tensor.row_length());
    if (type != wanted) fallen.push_back(tensor.name + " (" + find_type(wanted)->name + " -> " + find_type(type)->name + ")");
    result.recipe.types[tensor.name] = type;
  }
  std::vector<std::string> unmatched, shadowed, where;
  for (size_t i = 0; i < matches.size(); ++i) {
    const auto& rule = rules.rules()[i];
    if (!matches[i]) unmatched.push_back(rule.pattern), where.push_back(rule.where);
    if (matches[i] && !decides[i]) shadowed.push_back(rule.pattern);
  }
  if (!unmatched.empty())
    return fail(ErrorCode::kMismatch,
                {"recipe: " + shown(unmatched), unmatched.size() == 1 ? "matches no tensor of the model" : "match no tensor of the model",
                 "given by " + join({where.begin(), where.begin() + static_cast<ptrdiff_t>(std::min<size_t>(3, where.size()))}, ", ") +
                     (where.size() > 3 ? ", ..." : ""),
                 "a recipe of another model?"});
  if (!shadowed.empty()) result.warnings.push_back("recipe: " + shown(shadowed) + " never decide: an earlier rule takes their tensors");
  if (!fallen.empty()) result.warnings.push_back("recipe: rows too short for the type, llama.cpp's fallback is used: " + shown(fallen));
  if (!left_alone.empty()) result.warnings.push_back("recipe: never quantized, type kept: " + shown(left_alone));
  return result;
}

}  // namespace assay
