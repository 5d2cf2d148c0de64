// Rules `regex -> type` as recipes of several tools list them, turned into tensor -> type. Types are names (foreign_types.h).
// TensorTypeRules (recipe_io.h) is what quantize applies: ggml's types, llama.cpp's fallbacks, first match wins.
// Tools differ, and have changed, in which of two rules wins; a tensor that two rules give different types is therefore refused unless the
// caller settles it. Non-goals: the formats that rules are written in (recipe_format.h).
#pragma once

#include <map>
#include <optional>
#include <regex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/base/result.h"
#include "assay/file/gguf.h"
#include "assay/plan/name_pattern.h"

namespace assay {

enum class Overlap {
  kRefuse,
  kFirst,  // the first rule that matches decides
};

struct ResolvedTypes {
  std::map<std::string, std::string> types;  // tensor -> TypeSize::name
  std::vector<std::string> left_alone;       // tensors that the tools never quantize (is_quantizable), whatever a rule says
  // As a line of what is not read; empty: none.
  std::vector<std::string> losses() const;
};

class TypeRules {
 public:
  // `who` opens every message: "recipe.txt". kLowered: patterns are lower-cased, as llama-quantize does.
  TypeRules(std::string who, PatternCase letters) : who_(std::move(who)), letters_(letters) {}

  // `where`: "line 3". Errors: kBadInput (unknown type, no pattern, more than 65,536 rules or 4,096 patterns), kUsage (not a regular
  // expression).
  Status add(std::string_view pattern, std::string_view type, std::string where);

  size_t size() const { return rules_.size(); }
  // One line per rule whose meaning lower-casing changed.
  const std::vector<std::string>& warnings() const { return warnings_; }

  // Without a model (no tensors) every pattern must stand for one name, else kUsage. Errors: kMismatch (a rule that matches no tensor, with
  // the nearest names; a tensor that two rules give different types: which lines), kBadInput (no rules).
  Result<ResolvedTypes> resolve(std::span<const TensorInfo> tensors, Overlap overlap) const;

 private:
  struct Rule {
    std::string pattern, type, where;
    std::optional<std::string> literal;
    std::optional<std::regex> regex;
  };
  tl::unexpected<Error> contradiction(const std::string& tensor, const Rule& first, const Rule& second) const;
  tl::unexpected<Error> unmatched(const std::vector<const Rule*>& rules, std::span<const TensorInfo> tensors) const;

  std::string who_;
  PatternCase letters_;
  std::vector<Rule> rules_;
  size_t patterns_ = 0;  // rules that are more than a name
  std::vector<std::string> warnings_;
};

}  // namespace assay
