// Recipes as text: reads llama-quantize's --tensor-type-file and --tensor-type rules (and the ik_llama / Thireus forms of them),
// and applies them to a model's tensors. Writing: to_text in recipe.h.
// The rules are llama-quantize's: `regex=type`, split at the first '=', the regex lower-cased, found anywhere in the name
// (regex_search), first match wins. Beyond it: '#' starts a comment, and "a=q4_k,b=q8_0" is two rules.
// Non-goals: INI-like recipe files, quantization mixes as types ("Q4_K_M" is a preset, not a type).
#pragma once

#include <optional>
#include <regex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/gguf.h"
#include "assay/plan/recipe.h"

namespace assay {

// Ordered rules; the first that matches a name decides.
class TensorTypeRules {
 public:
  struct Rule {
    std::string pattern;  // lower-cased
    GgmlType type = GgmlType::kF16;
    std::string where;                   // what messages call it: "line 3", "--tensor-type"
    std::optional<std::string> literal;  // the one name an anchored pattern without operators stands for
    std::optional<std::regex> regex;     // otherwise
    bool matches(const std::string& name) const { return literal ? name == *literal : std::regex_search(name, *regex); }
  };

  // One `regex=type`. Errors: kUsage (no '=', not a regular expression, unknown type; a preset's name says so).
  Status add(std::string_view token, std::string where);
  // A whole file: tokens separated by white space.
  Status add_text(std::string_view text);

  const std::vector<Rule>& rules() const { return rules_; }
  // The index of the rule that decides, if any.
  std::optional<size_t> match(const std::string& name) const;
  // One line per rule whose meaning lower-casing changed.
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  Status add_one(std::string_view pattern, std::string_view type_name, std::string where);
  std::vector<Rule> rules_;
  std::vector<std::string> warnings_;
};

struct ResolvedRecipe {
  Recipe recipe;  // matched tensors only, with types their rows can hold
  std::vector<std::string> warnings;
};

// Applies the rules to a model. A rule that matches no tensor at all: kMismatch, naming them. Warned of: a type a row cannot hold
// (llama.cpp's fallback takes its place), a rule whose every tensor an earlier rule took, tensors that are never quantized.
Result<ResolvedRecipe> resolve(const TensorTypeRules& rules, std::span<const TensorInfo> tensors);

}  // namespace assay
