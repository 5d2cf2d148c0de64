// Patterns over tensor names, as recipes write them: regular expressions found anywhere in a name (regex_search, ECMAScript grammar).
// Most stand for one name; those are recognised and need neither a compiler nor a model. Non-goals: rules (recipe_io.h, type_rules.h).
#pragma once

#include <optional>
#include <regex>
#include <string>
#include <string_view>

#include "assay/base/result.h"

namespace assay {

// The name that `^name$` stands for, if nothing in it is an operator: what anchored_pattern writes.
std::optional<std::string> literal_name(std::string_view pattern);

// kUsage: longer than 1,024 bytes, or no regular expression; nested repetitions cannot hang where the library is libstdc++.
Result<std::regex> compile_pattern(std::string_view pattern, const std::string& who);

enum class PatternCase {
  kLowered,  // for readers that lower-case patterns (llama-quantize): upper-case letters become a class that matches them
  kKept,
};
// `^name$` with everything that is an operator, or that ends a rule ('=', ',', white space), escaped.
std::string anchored_pattern(std::string_view name, PatternCase letters);

}  // namespace assay
