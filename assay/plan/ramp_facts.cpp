#include "assay/plan/ramp_facts.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "assay/base/text.h"
#include "assay/file/json_object.h"
#include "assay/file/json_text.h"
#include "assay/plan/foreign_types.h"

namespace assay {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;
constexpr size_t kMostGroups = 1 << 17;

std::string our_group(const std::string& name) { return name == "global.embed" ? "global.token_embd" : name; }
std::string ramp_group(const std::string& name) { return name == "global.token_embd" ? "global.embed" : name; }

Status check_groups(const Json& node, const JsonPlace& place) {
  if (!node.is_object() || node.empty()) return place.refuse(found_in(node), "groups are needed");
  if (node.size() > kMostGroups)
    return place.refuse("has " + group_digits(node.size()) + " groups", "at most " + group_digits(kMostGroups) + " are allowed");
  return {};
}

std::string text_of(const OrderedJson& json) { return json.dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n"; }

}  // namespace

Status read_ramp_sensitivity(std::string_view text, const std::string& who, RampFacts& facts, std::vector<std::string>& losses) {
  ASSAY_ASSIGN(const Json root, parse_json(text, who, RepeatedKeys::kRefuse));
  const JsonPlace top{who, ""};
  if (!root.is_object()) return top.refuse(found_in(root), "an object is needed");
  const auto groups = root.find("group_scores");
  const JsonPlace at = top.key("group_scores");
  if (groups == root.end()) return at.refuse("is missing", "RAMP's sensitivities are needed", "another kind of file?");
  ASSAY_TRY(check_groups(*groups, at));
  RampFacts read = facts;
  for (const auto& [name, node] : groups->items()) {
    const JsonPlace place = at.key(printable(name));
    if (!node.is_object()) return place.refuse(found_in(node), "an object is needed");
    ProxyFacts& fact = read[our_group(name)];
    const auto nsds = node.find("nsds"), nv = node.find("nv_score");
    if (nsds == node.end()) return place.key("nsds").refuse("is missing", "a number from 0 to 1 is needed");
    ASSAY_ASSIGN(fact.sensitivity, json_real(*nsds, place.key("nsds"), 0, 1));
    if (nv == node.end()) continue;
    ASSAY_ASSIGN(fact.vulnerability, json_real(*nv, place.key("nv_score"), 0, 1));
  }
  facts = std::move(read);
  if (const auto tensors = root.find("tensor_scores"); tensors != root.end() && !tensors->empty())
    losses.push_back("scores of " + group_digits(tensors->size()) + " single tensors");
  return {};
}

Status read_ramp_errors(std::string_view text, const std::string& who, RampFacts& facts, std::vector<std::string>& losses) {
  ASSAY_ASSIGN(const Json root, parse_json(text, who, RepeatedKeys::kRefuse));
  const JsonPlace top{who, ""};
  ASSAY_TRY(check_groups(root, top));
  RampFacts read = facts;
  std::set<std::string> foreign, other;
  for (const auto& [name, types] : root.items()) {
    const JsonPlace group = top.key(printable(name));
    if (!types.is_object()) return group.refuse(found_in(types), "types and their errors are needed");
    for (const auto& [type_name, node] : types.items()) {
      const JsonPlace place = group.key(printable(type_name));
      const TypeSize* const type = find_type_size(type_name);
      if (type == nullptr) return unknown_type(who + ": " + place.path, type_name);
      if (!node.is_object() || !node.contains("frobenius_rel")) return place.refuse("has no frobenius_rel", "a number is needed");
      ASSAY_ASSIGN(const double error, json_real(node["frobenius_rel"], place.key("frobenius_rel"), 0, std::numeric_limits<double>::max()));
      for (const auto& [key, value] : node.items())
        if (key != "frobenius_rel") other.insert(printable(key));
      if (type->ggml)
        read[our_group(name)].errors[*type->ggml] = error;
      else
        foreign.insert(type->name);
    }
  }
  facts = std::move(read);
  if (!foreign.empty()) losses.push_back("errors of types that only ik_llama.cpp has: " + join({foreign.begin(), foreign.end()}, ", "));
  if (!other.empty()) losses.push_back(join({other.begin(), other.end()}, ", ") + " of every type");
  return {};
}

std::string ramp_sensitivity_json(const RampFacts& facts) {
  OrderedJson groups = OrderedJson::object();
  for (const auto& [name, fact] : facts) groups[ramp_group(name)] = {{"nsds", fact.sensitivity}, {"nv_score", fact.vulnerability}};
  return text_of({{"tensor_scores", OrderedJson::object()}, {"group_scores", std::move(groups)}});
}

std::string ramp_errors_json(const RampFacts& facts) {
  OrderedJson groups = OrderedJson::object();
  for (const auto& [name, fact] : facts)
    for (const auto& [type, error] : fact.errors) groups[ramp_group(name)][find_type(type)->name] = {{"frobenius_rel", error}};
  return text_of(groups);
}

}  // namespace assay
