#include "assay/plan/constraint_rules.h"

#include <fmt/format.h>

#include <algorithm>

#include "assay/base/text.h"
#include "assay/plan/contradiction.h"
#include "assay/quant/codec.h"
#include "assay/score/score_lookup.h"

namespace assay {
namespace {

template <class Value>
Result<std::vector<NameRule<Value>>> name_rules(const std::string& option, const std::vector<std::pair<std::string, Value>>& pairs) {
  std::vector<NameRule<Value>> rules;
  for (const auto& [text, value] : pairs) {
    try {
      rules.push_back({text, std::regex(text), value});
    } catch (const std::regex_error& error) {
      return fail(ErrorCode::kUsage, {option + " '" + printable(text) + "'", "is not a regular expression", error.what(), ""});
    }
  }
  return rules;
}

template <class Value>
Status each_used(const std::string& option, const std::vector<NameRule<Value>>& rules) {
  for (const auto& rule : rules)
    if (!rule.used)
      return fail(ErrorCode::kMismatch, {option + " '" + printable(rule.text) + "'", "matches no matrix of the model", "", ""});
  return {};
}

bool can_hold(const TensorInfo& tensor, GgmlType type) {
  return row_fits(type, tensor.row_length()) && (type == tensor.type || can_encode(type));
}

}  // namespace

Result<ConstraintRules> ConstraintRules::make(const AllocateConstraints& constraints) {
  ConstraintRules rules;
  rules.types_ = constraints.types;
  rules.min_type_ = constraints.min_type;
  rules.speeds_ = constraints.speeds;
  rules.backend_ = constraints.backend;
  ASSAY_ASSIGN(rules.type_rules_, name_rules("--types-of", constraints.types_of));
  ASSAY_ASSIGN(rules.least_rules_, name_rules("--at-least", constraints.at_least));
  ASSAY_ASSIGN(rules.devices_, name_rules("--device-size", constraints.device_bytes));
  ASSAY_ASSIGN(rules.keep_, name_rules("--keep", constraints.keep));
  return rules;
}

Result<std::unordered_map<std::string, GgmlType>> ConstraintRules::kept(std::span<const TensorInfo> tensors) {
  std::unordered_map<std::string, GgmlType> kept;
  for (const TensorInfo& tensor : tensors) {
    if (!is_quantizable(tensor)) continue;
    for (NameRule<GgmlType>& rule : keep_) {
      if (!rule.matches(tensor.name) || kept.contains(tensor.name)) continue;
      if (!can_hold(tensor, rule.value)) {
        return fail(ErrorCode::kUsage, {"--keep '" + printable(rule.text) + "=" + find_type(rule.value)->name + "'",
                                        fmt::format("cannot be met by '{}' with rows of {}", printable(tensor.name), tensor.row_length()),
                                        "a type its rows can hold and that can be written is needed", ""});
      }
      kept[tensor.name] = rule.value;
    }
  }
  ASSAY_TRY(each_used("--keep", keep_));
  return kept;
}

bool ConstraintRules::allows(GgmlType type) const {
  if (!types_.empty() && std::find(types_.begin(), types_.end(), type) == types_.end()) return false;
  if (speeds_.most > 0 && !speeds_.per_weight.contains(type)) return false;
  if (backend_ != nullptr && !multiplies(*backend_, type)) return false;
  return !min_type_ || bits_per_weight(type) >= bits_per_weight(*min_type_);
}

bool ConstraintRules::allows(const TensorInfo& tensor, GgmlType type) {
  bool holds = can_hold(tensor, type) && allows(type);
  for (auto& rule : type_rules_)
    if (rule.matches(tensor.name)) holds = holds && std::find(rule.value.begin(), rule.value.end(), type) != rule.value.end();
  for (auto& rule : least_rules_)
    if (rule.matches(tensor.name)) holds = holds && bits_per_weight(type) >= bits_per_weight(rule.value);
  return holds;
}

std::string ConstraintRules::why_none(std::span<const GgmlType> asked, std::span<const TensorInfo* const> members) const {
  std::vector<GgmlType> types;
  for (const GgmlType type : asked)
    if (std::all_of(members.begin(), members.end(), [&](const TensorInfo* tensor) { return can_hold(*tensor, type); }))
      types.push_back(type);
  if (types.empty())
    return fmt::format("its rows can hold none of the {} types that the table has for it, or they cannot be written", asked.size());
  std::vector<std::string> names;
  std::vector<std::vector<bool>> allows;
  const auto add = [&](std::string name, const auto& allowed) {
    names.push_back(std::move(name));
    allows.emplace_back();
    for (const GgmlType type : types) allows.back().push_back(allowed(type));
  };
  const auto among = [](const std::vector<GgmlType>& list) {
    return [&list](GgmlType type) { return std::find(list.begin(), list.end(), type) != list.end(); };
  };
  const auto at_least = [](GgmlType least) { return [least](GgmlType type) { return bits_per_weight(type) >= bits_per_weight(least); }; };
  const auto found = [&](const std::regex& pattern) {
    return std::any_of(members.begin(), members.end(), [&](const TensorInfo* tensor) { return std::regex_search(tensor->name, pattern); });
  };
  add("the types of its row in the table", [](GgmlType) { return true; });
  if (!types_.empty()) add("--types", among(types_));
  if (min_type_) add(std::string("--min-type ") + find_type(*min_type_)->name, at_least(*min_type_));
  if (backend_ != nullptr) add("--backend " + std::string(backend_->name), [&](GgmlType type) { return multiplies(*backend_, type); });
  if (speeds_.most > 0) add("--speeds", [&](GgmlType type) { return speeds_.per_weight.contains(type); });
  for (const auto& rule : type_rules_)
    if (found(rule.pattern)) add("--types-of '" + printable(rule.text) + "'", among(rule.value));
  for (const auto& rule : least_rules_)
    if (found(rule.pattern)) add("--at-least '" + printable(rule.text) + "=" + find_type(rule.value)->name + "'", at_least(rule.value));
  std::vector<std::string> needed, there;
  for (const size_t c : smallest_contradiction(allows)) needed.push_back(names[c]);
  for (const GgmlType type : types) there.emplace_back(find_type(type)->name);
  return join(needed, " and ") + (needed.size() > 1 ? " leave none of " : " leaves none of ") + join(there, ", ");
}

Status ConstraintRules::all_used() const {
  ASSAY_TRY(each_used("--types-of", type_rules_));
  ASSAY_TRY(each_used("--at-least", least_rules_));
  return each_used("--device-size", devices_);
}

}  // namespace assay
