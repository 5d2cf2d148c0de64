#include "assay/plan/constraint_rules.h"

#include <fmt/format.h>

#include <algorithm>

#include "assay/base/text.h"
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

Status ConstraintRules::all_used() const {
  ASSAY_TRY(each_used("--types-of", type_rules_));
  ASSAY_TRY(each_used("--at-least", least_rules_));
  return each_used("--device-size", devices_);
}

}  // namespace assay
