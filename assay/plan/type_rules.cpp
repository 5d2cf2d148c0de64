#include "assay/plan/type_rules.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "assay/base/nearest_names.h"
#include "assay/base/text.h"
#include "assay/plan/foreign_types.h"
#include "assay/plan/presets.h"

namespace assay {
namespace {

constexpr size_t kMostRules = 1 << 16;
constexpr size_t kMostPatterns = 1 << 12;  // that are more than a name: each is tried on every tensor
constexpr size_t kShown = 5;

}  // namespace

Status TypeRules::add(std::string_view pattern, std::string_view type_name, std::string where) {
  const std::string who = who_ + ": " + where + ": '" + printable(pattern) + "'";
  if (pattern.empty()) return fail(ErrorCode::kBadInput, {who_ + ": " + where, "has no pattern", "regex=type is needed", ""});
  if (rules_.size() == kMostRules)
    return fail(ErrorCode::kBadInput, {who_, "has more than " + group_digits(kMostRules) + " rules", "", ""});
  const TypeSize* const type = find_type_size(type_name);
  if (type == nullptr) return unknown_type(who, type_name);
  Rule rule;
  rule.pattern = letters_ == PatternCase::kLowered ? lower_ascii(pattern) : std::string(pattern);
  rule.type = type->name;
  rule.where = std::move(where);
  rule.literal = literal_name(rule.pattern);
  if (!rule.literal) {
    if (++patterns_ > kMostPatterns)
      return fail(ErrorCode::kBadInput, {who_, "has more than " + group_digits(kMostPatterns) + " patterns that are not one name", "", ""});
    ASSAY_ASSIGN(rule.regex, compile_pattern(rule.pattern, who));
  }
  if (rule.pattern != pattern)
    warnings_.push_back(who + " is read as '" + printable(rule.pattern) + "': patterns are lower-cased, as by llama-quantize");
  rules_.push_back(std::move(rule));
  return {};
}

tl::unexpected<Error> TypeRules::contradiction(const std::string& tensor, const Rule& first, const Rule& second) const {
  return fail(ErrorCode::kMismatch, {who_ + ": tensor '" + printable(tensor) + "'",
                                     "is " + first.type + " by " + first.where + " and " + second.type + " by " + second.where,
                                     "one type is needed", "tools differ in which rule wins"});
}

tl::unexpected<Error> TypeRules::unmatched(const std::vector<const Rule*>& rules, std::span<const TensorInfo> tensors) const {
  std::vector<std::string> shown, names;
  for (size_t i = 0; i < std::min(rules.size(), kShown); ++i)
    shown.push_back(rules[i]->where + " '" + printable(rules[i]->literal.value_or(rules[i]->pattern)) + "'");
  const std::string more = rules.size() > kShown ? " and " + group_digits(rules.size() - kShown) + " more" : "";
  for (const TensorInfo& tensor : tensors) names.push_back(tensor.name);
  const auto near = rules[0]->literal ? nearest_names(rules[0]->literal->substr(0, 128), names, 3) : std::vector<std::string>();
  return fail(ErrorCode::kMismatch, {who_ + ": " + join(shown, ", ") + more, rules.size() == 1 ? "matches no tensor" : "match no tensor",
                                     "", near.empty() ? "a recipe of another model?" : "did you mean " + join(near, ", ") + "?"});
}

std::vector<std::string> ResolvedTypes::losses() const {
  if (left_alone.empty()) return {};
  std::vector<std::string> shown(left_alone.begin(), left_alone.begin() + static_cast<ptrdiff_t>(std::min(left_alone.size(), kShown)));
  return {"types of " + group_digits(left_alone.size()) + " tensors that are never quantized: " + join(shown, ", ") +
          (left_alone.size() > kShown ? ", ..." : "")};
}

Result<ResolvedTypes> TypeRules::resolve(std::span<const TensorInfo> tensors, Overlap overlap) const {
  if (rules_.empty()) return fail(ErrorCode::kBadInput, {who_, "has no rules", "regex=type is needed", ""});
  ResolvedTypes resolved;
  std::map<std::string, const Rule*> decided_by;
  const auto take = [&](const std::string& name, const Rule& rule) -> Status {
    const auto [at, is_new] = decided_by.emplace(name, &rule);
    if (is_new) resolved.types[name] = rule.type;
    if (!is_new && overlap == Overlap::kRefuse && at->second->type != rule.type) return contradiction(name, *at->second, rule);
    return {};
  };
  std::set<std::string> left_alone;
  const auto take_tensor = [&](const TensorInfo& tensor, const Rule& rule) -> Status {
    if (is_quantizable(tensor) || is_plain_type(rule.type)) return take(tensor.name, rule);
    left_alone.insert(tensor.name);
    return {};
  };
  std::unordered_map<std::string_view, const TensorInfo*> by_name;
  for (const TensorInfo& tensor : tensors) by_name[tensor.name] = &tensor;
  std::vector<const Rule*> idle;
  for (const Rule& rule : rules_) {
    bool matches = false;
    if (tensors.empty()) {
      if (!rule.literal)
        return fail(ErrorCode::kUsage, {who_ + ": " + rule.where + ": '" + printable(rule.pattern) + "'", "may match any tensors",
                                        "the model's are needed to list them (--model)", ""});
      ASSAY_TRY(take(*rule.literal, rule));
      matches = true;
    } else if (rule.literal) {
      const auto found = by_name.find(*rule.literal);
      matches = found != by_name.end();
      if (matches) ASSAY_TRY(take_tensor(*found->second, rule));
    } else {
      for (const TensorInfo& tensor : tensors) {
        if (!std::regex_search(tensor.name, *rule.regex)) continue;
        matches = true;
        ASSAY_TRY(take_tensor(tensor, rule));
      }
    }
    if (!matches) idle.push_back(&rule);
  }
  if (!idle.empty()) return unmatched(idle, tensors);
  resolved.left_alone.assign(left_alone.begin(), left_alone.end());
  return resolved;
}

}  // namespace assay
