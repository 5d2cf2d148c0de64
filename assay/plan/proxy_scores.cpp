#include "assay/plan/proxy_scores.h"

#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "assay/base/text.h"
#include "assay/file/json_object.h"
#include "assay/file/json_text.h"
#include "assay/plan/presets.h"

namespace assay {
namespace {

using Json = nlohmann::json;
constexpr size_t kLongestName = 256;
constexpr double kLargest = std::numeric_limits<double>::max();

// What the scores say of one matrix.
struct ScoredMatrix {
  std::optional<double> nsds, norm;
  std::map<GgmlType, double> errors;
};
using ScoredMatrices = std::map<std::string, ScoredMatrix>;

const Json* member(const Json& node, const char* name) {
  const auto found = node.is_object() ? node.find(name) : node.end();
  return node.is_object() && found != node.end() ? &*found : nullptr;
}

Status read_cell(const std::string& score, const Json& cell, const JsonPlace& place, ScoredMatrix& matrix) {
  const Json* const value = member(cell, "value");
  if (value == nullptr) return place.key("value").refuse("is missing", "a number is needed");
  ASSAY_ASSIGN(const double number, json_real(*value, place.key("value"), 0, kLargest));
  if (score == "nsds_ramp") {
    if (number > 1) return place.key("value").refuse(found_in(*value), "a number from 0 to 1 is needed");
    matrix.nsds = number;
  } else if (score == "weight_norm") {
    matrix.norm = number;
  } else {
    const Json* const type = member(cell, "type");
    if (type == nullptr || !type->is_string()) return place.key("type").refuse("is missing", "the name of a ggml type is needed");
    const GgmlTypeInfo* const known = find_type(type->get<std::string>());
    if (known == nullptr) return place.key("type").refuse(found_in(*type), "the name of a ggml type is needed");
    matrix.errors[known->type] = number;
  }
  return {};
}

Status read_score(const std::string& name, const Json& score, const JsonPlace& place, ScoredMatrices& matrices) {
  const Json* const rows = member(score, "rows");
  const JsonPlace at = place.key("rows");
  if (rows == nullptr) return at.refuse("is missing", "a list is needed");
  ASSAY_TRY(json_list(*rows, at, 0, 1 << 20));
  for (size_t r = 0; r < rows->size(); ++r) {
    const JsonPlace row = at.item(r);
    const Json *const label = member((*rows)[r], "name"), *const cells = member((*rows)[r], "cells");
    if (label == nullptr || cells == nullptr) return row.refuse("is no row", "name and cells are needed");
    ASSAY_ASSIGN(const std::string tensor, json_string(*label, row.key("name"), kLongestName));
    ASSAY_TRY(json_list(*cells, row.key("cells"), 0, 64));
    for (size_t c = 0; c < cells->size(); ++c) ASSAY_TRY(read_cell(name, (*cells)[c], row.key("cells").item(c), matrices[tensor]));
  }
  return {};
}

Status add_group(const DecisionGroup& group, const ModelStructure& structure, const ScoredMatrices& matrices, RampFacts& facts) {
  double elements = 0, weighted = 0, norm = 0;
  std::map<GgmlType, double> errors;
  std::map<GgmlType, size_t> known;
  size_t members = 0;
  for (const size_t t : group.tensors) {
    const TensorInfo& tensor = structure.tensors[t];
    if (!is_quantizable(tensor)) continue;
    const auto found = matrices.find(tensor.name);
    if (found == matrices.end() || !found->second.nsds)
      return fail(ErrorCode::kMismatch,
                  {"scores: tensor '" + printable(tensor.name) + "'", "has no nsds_ramp", "scores of this model, by tensor", ""});
    const auto weight = static_cast<double>(tensor.elements());
    ++members;
    elements += weight;
    weighted += weight * *found->second.nsds;
    norm += found->second.norm.value_or(std::numeric_limits<double>::quiet_NaN());
    for (const auto& [type, error] : found->second.errors) errors[type] += error, ++known[type];
  }
  if (members == 0) return {};
  ProxyFacts& fact = facts[group.name];
  fact.sensitivity = weighted / elements;
  for (const auto& [type, error] : errors)
    if (known[type] == members && norm > 0) fact.errors[type] = std::sqrt(error / norm);
  return {};
}

}  // namespace

bool holds_scores(std::string_view text) {
  const Json root = Json::parse(text, nullptr, false);
  const Json* const result = member(root, "result");
  return result != nullptr && member(*result, "scores") != nullptr;
}

Result<RampFacts> proxy_facts_from_scores(std::string_view text, const std::string& who, const ModelStructure& structure) {
  ASSAY_ASSIGN(const Json root, parse_json(text, who, RepeatedKeys::kRefuse));
  const JsonPlace at{who, "result.scores"};
  const Json* const result = member(root, "result");
  const Json* const scores = result == nullptr ? nullptr : member(*result, "scores");
  if (scores == nullptr) return at.refuse("is missing", "a result of assay score is needed");
  ASSAY_TRY(json_list(*scores, at, 0, 1 << 10));
  ScoredMatrices matrices;
  bool scored = false;
  for (size_t i = 0; i < scores->size(); ++i) {
    const Json* const name = member((*scores)[i], "name");
    if (name == nullptr || !name->is_string()) return at.item(i).key("name").refuse("is missing", "the name of a score is needed");
    const auto known = name->get<std::string>();
    scored = scored || known == "nsds_ramp";
    if (known == "nsds_ramp" || known == "weight_error" || known == "weight_norm")
      ASSAY_TRY(read_score(known, (*scores)[i], at.item(i), matrices));
  }
  if (!scored)
    return fail(ErrorCode::kUsage, {who, "has no nsds_ramp", "assay score --scores nsds_ramp,weight_error,weight_norm --types ...", ""});
  RampFacts facts;
  for (const DecisionGroup& group : structure.groups) ASSAY_TRY(add_group(group, structure, matrices, facts));
  for (const TensorInfo& tensor : structure.tensors) matrices.erase(tensor.name);
  if (!matrices.empty())
    return fail(ErrorCode::kMismatch, {who + ": tensor '" + printable(matrices.begin()->first) + "'", "is not in the model",
                                       "scores of this model, by tensor", ""});
  return facts;
}

}  // namespace assay
