#include <nlohmann/json.hpp>
#include <string>

#include "assay/probe/variant_io.h"
#include "assay/probe/variant_words.h"

namespace assay {
namespace {

using nlohmann::json;
using namespace variant_words;

// -0 and 0 are one change.
double plain(double value) { return value == 0 ? 0.0 : value; }

json weight_json(const WeightEdit& edit) {
  json node = {{"tensor", edit.tensor}};
  const ActionForm& form = form_of(edit.action);
  const std::string key(form.key);
  if (form.selects && edit.where.kind == Kind::kCoordinates) {
    json& list = node["at"] = json::array();
    for (const Coordinate& at : edit.where.coordinates) list.push_back({at.row, at.column});
  } else if (form.selects) {
    for (const auto& [kind, name] : kSelections)
      if (kind == edit.where.kind) node[std::string(name)] = edit.where.index;
  }
  switch (edit.action) {
    case Action::kSet:
    case Action::kAdd:
    case Action::kScale:
    case Action::kNoise:
      node[key] = plain(edit.value);
      if (edit.action == Action::kNoise && edit.seed != 0) node["seed"] = edit.seed;
      break;
    case Action::kLevel:
      node[key] = edit.step;
      break;
    case Action::kByte:
      node[key] = edit.byte;
      node["step"] = edit.step;
      break;
    case Action::kType: {
      const GgmlTypeInfo* type = find_type(edit.type);
      node[key] = type == nullptr ? std::to_string(static_cast<uint32_t>(edit.type)) : type->name;
      break;
    }
    case Action::kFile:
    case Action::kLowRank:
      node[key] = edit.file;
      if (edit.action == Action::kLowRank && edit.value != 1) node["factor"] = plain(edit.value);
      break;
  }
  if (form.with == "share" && edit.share != 1) node["share"] = plain(edit.share);
  return node;
}

json schedule_json(const ScheduleEdit& edit) {
  if (edit.action == ScheduleEdit::Action::kOrder) return {{"order", edit.order}};
  const json range = edit.first == edit.last ? json(edit.first) : json::array({edit.first, edit.last});
  if (edit.action == ScheduleEdit::Action::kSkip) {
    json node = {{"skip", range}};
    if (edit.part != ScheduleEdit::Part::kBlock) node["part"] = std::string(name_of(edit.part));
    return node;
  }
  json node = {{"repeat", range}, {"times", edit.times}};
  if (edit.gamma != 1) node["gamma"] = plain(edit.gamma);
  return node;
}

json attention_json(const AttentionEdit& edit) {
  json node = {{"layer", edit.layer}, {"rule", std::string(kRules[static_cast<size_t>(edit.rule)].second)}};
  if (!edit.heads.empty()) node["heads"] = edit.heads;
  if (edit.rule == Rule::kTopK || edit.rule == Rule::kLowRank) node["k"] = edit.k;
  if (edit.rule == Rule::kLowRank) node["basis"] = edit.basis;
  return node;
}

json residual_json(const ResidualEdit& edit) {
  json node = json::object();
  if (edit.form == ResidualEdit::Form::kReplace) {
    node["replace"] = edit.layer;
  } else {
    node[edit.form == ResidualEdit::Form::kFirst ? "first" : "cumulative"] = true;
  }
  if (edit.rank != 0) node["rank"] = edit.rank;
  return node;
}

template <class Edit>
void add_edits(json& node, const char* key, const std::vector<Edit>& edits, json (*write)(const Edit&)) {
  if (edits.empty()) return;
  json& list = node[key] = json::array();
  for (const Edit& edit : edits) list.push_back(write(edit));
}

}  // namespace

json to_json(const Variant& variant) {
  json node = json::object();
  if (!variant.name.empty()) node["name"] = variant.name;
  add_edits(node, "weights", variant.weights, weight_json);
  add_edits(node, "schedule", variant.schedule, schedule_json);
  add_edits(node, "attention", variant.attention, attention_json);
  add_edits(node, "residual", variant.residual, residual_json);
  return node;
}

}  // namespace assay
