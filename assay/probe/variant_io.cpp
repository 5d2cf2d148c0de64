#include "assay/probe/variant_io.h"

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>
#include <utility>

#include "assay/base/text.h"
#include "assay/file/atomic_writer.h"
#include "assay/file/json_text.h"
#include "assay/file/yaml_text.h"
#include "assay/probe/variant_words.h"

namespace assay {
namespace {

using nlohmann::json;
using Action = WeightEdit::Action;
using Kind = Selection::Kind;
using Rule = AttentionEdit::Rule;
using Form = ResidualEdit::Form;
using namespace variant_words;

constexpr std::string_view kWeightKeys[] = {"tensor", "layer", "at",    "row",  "column", "head", "channel",  "set",   "add",    "scale",
                                            "noise",  "seed",  "level", "byte", "step",   "type", "low_rank", "share", "factor", "from"};
// The key, of those in `table`, that the object has. Exactly one.
template <class Table>
Result<const typename Table::value_type*> only_one(const JsonObject& object, const Table& table, std::string_view what) {
  const typename Table::value_type* found = nullptr;
  std::vector<std::string> names;
  for (const auto& entry : table) {
    names.emplace_back(entry.first);
    if (!object.has(entry.first)) continue;
    if (found != nullptr)
      return object.place().refuse("has both '" + std::string(found->first) + "' and '" + std::string(entry.first) + "'",
                                   "one " + std::string(what) + " is needed", "two edits in one?");
    found = &entry;
  }
  if (found == nullptr) return object.place().refuse("has no " + std::string(what), "one of " + join(names, ", ") + " is needed");
  return found;
}

Status parse_coordinates(const json& node, const JsonPlace& place, std::vector<Coordinate>& out) {
  ASSAY_TRY(json_list(node, place, 1, kMostCoordinates));
  std::set<std::pair<uint64_t, uint64_t>> seen;
  for (size_t i = 0; i < node.size(); ++i) {
    ASSAY_ASSIGN(const Coordinate at, parse_coordinate(node[i], place.item(i)));
    if (!seen.insert({at.row, at.column}).second) return place.item(i).refuse("is given twice", "each weight once");
    out.push_back(at);
  }
  return {};
}

// Which tensor and which of its weights; returns the shorthand's or the selection's key, empty for the whole tensor.
Status parse_where(const JsonObject& object, WeightEdit& edit) {
  constexpr std::array<std::pair<std::string_view, int>, 2> kTargets = {{{"tensor", 0}, {"layer", 1}}};
  ASSAY_ASSIGN(const auto* target, only_one(object, kTargets, "target"));
  if (target->second == 1) {
    // Shorthands: a head's columns of the attention output, a channel's column of the last matrix of the feed-forward half.
    ASSAY_ASSIGN(const int64_t layer, object.integer("layer", 0, kLastBlock));
    constexpr std::array<std::pair<std::string_view, std::string_view>, 2> kShort = {{{"head", "attn_output"}, {"channel", "ffn_down"}}};
    ASSAY_ASSIGN(const auto* unit, only_one(object, kShort, "unit of the layer"));
    for (const std::string_view key : {"at", "row", "column"})
      if (object.has(key)) return object.place(key).refuse("comes with 'layer'", "'head' or 'channel' goes with it, or name the tensor");
    edit.tensor = "blk." + std::to_string(layer) + "." + std::string(unit->second) + ".weight";
    edit.where.kind = unit->first == "head" ? Kind::kHead : Kind::kColumn;
    ASSAY_ASSIGN(edit.where.index, object.number(unit->first, kLastIndex));
    return {};
  }
  ASSAY_ASSIGN(edit.tensor, object.text("tensor", kLongestName));
  if (object.has("channel")) return object.place("channel").refuse("comes with 'tensor'", "'layer' goes with it; or write 'column'");
  std::string_view given;
  for (const auto& [kind, key] : kSelections) {
    const json* value = object.find(key);
    if (value == nullptr) continue;
    if (!given.empty())
      return object.place(key).refuse("comes with '" + std::string(given) + "'", "one of at, row, column, head, or none of them");
    given = key;
    edit.where.kind = kind;
    if (kind == Kind::kCoordinates) {
      ASSAY_TRY(parse_coordinates(*value, object.place(key), edit.where.coordinates));
    } else {
      ASSAY_ASSIGN(edit.where.index, object.number(key, kLastIndex));
    }
  }
  return {};
}

Status parse_action(const JsonObject& object, WeightEdit& edit) {
  const std::string key(form_of(edit.action).key);
  switch (edit.action) {
    case Action::kSet:
    case Action::kAdd:
    case Action::kScale: {
      ASSAY_ASSIGN(edit.value, object.real(key, -kLargestFloat, kLargestFloat));
      return {};
    }
    case Action::kNoise: {
      ASSAY_ASSIGN(edit.value, object.real(key, 0, kLargestFloat));
      if (object.has("seed")) {
        ASSAY_ASSIGN(edit.seed, object.number("seed", std::numeric_limits<uint64_t>::max()));
      }
      return {};
    }
    case Action::kLevel: {
      ASSAY_ASSIGN(const int64_t step, object.integer(key, -1, 1));
      if (step == 0) return object.place(key).refuse("is 0", "1 or -1 is needed");
      edit.step = static_cast<int>(step);
      return {};
    }
    case Action::kByte: {
      ASSAY_ASSIGN(edit.byte, object.number(key, kLastIndex));
      ASSAY_ASSIGN(const int64_t step, object.integer("step", -255, 255));
      if (step == 0) return object.place("step").refuse("is 0", "-255 to 255 without 0 is needed");
      edit.step = static_cast<int>(step);
      return {};
    }
    case Action::kType: {
      ASSAY_ASSIGN(edit.type, parse_type(*object.find(key), object.place(key)));
      break;
    }
    case Action::kFile: {
      ASSAY_ASSIGN(edit.file, object.text(key, kLongestPath));
      break;
    }
    case Action::kLowRank: {
      ASSAY_ASSIGN(edit.file, object.text(key, kLongestPath));
      edit.value = 1;
      if (object.has("factor")) {
        ASSAY_ASSIGN(edit.value, object.real("factor", -kLargestFloat, kLargestFloat));
      }
      return {};
    }
  }
  if (object.has("share")) {
    ASSAY_ASSIGN(edit.share, object.real("share", -kLargestShare, kLargestShare));
  }
  return {};
}

Result<WeightEdit> parse_weight(const json& node, const JsonPlace& place) {
  ASSAY_ASSIGN(const JsonObject object, JsonObject::open(node, place, kWeightKeys));
  WeightEdit edit;
  ASSAY_TRY(parse_where(object, edit));
  std::array<std::pair<std::string_view, const ActionForm*>, std::size(kActions)> actions;
  for (size_t i = 0; i < actions.size(); ++i) actions[i] = {kActions[i].key, &kActions[i]};
  ASSAY_ASSIGN(const auto* action, only_one(object, actions, "action"));
  const ActionForm& form = *action->second;
  edit.action = form.action;
  if (!form.selects && edit.where.kind != Kind::kAll)
    return place.refuse("has '" + std::string(form.key) + "' and a choice of weights", "it is for the whole tensor");
  for (const std::string_view extra : {"seed", "step", "share", "factor"})
    if (object.has(extra) && extra != form.with)
      return object.place(extra).refuse("comes with '" + std::string(form.key) + "'", "it has no meaning there");
  ASSAY_TRY(parse_action(object, edit));
  return edit;
}

// A block, or the first and the last of a range.
Status parse_range(const json& node, const JsonPlace& place, ScheduleEdit& edit) {
  if (node.is_array()) {
    ASSAY_TRY(json_list(node, place, 2, 2));
    ASSAY_ASSIGN(const int64_t first, json_integer(node[0], place.item(0), 0, kLastBlock));
    ASSAY_ASSIGN(const int64_t last, json_integer(node[1], place.item(1), first, kLastBlock));
    edit.first = static_cast<int>(first), edit.last = static_cast<int>(last);
    return {};
  }
  if (!node.is_number_integer()) return place.refuse(found_in(node), "a block's number or [first, last] is needed");
  ASSAY_ASSIGN(const int64_t block, json_integer(node, place, 0, kLastBlock));
  edit.first = edit.last = static_cast<int>(block);
  return {};
}

Result<ScheduleEdit> parse_schedule(const json& node, const JsonPlace& place) {
  static constexpr std::string_view kKeys[] = {"skip", "repeat", "order", "part", "times", "gamma"};
  constexpr std::array<std::pair<std::string_view, ScheduleEdit::Action>, 3> kActions = {
      {{"skip", ScheduleEdit::Action::kSkip}, {"repeat", ScheduleEdit::Action::kRepeat}, {"order", ScheduleEdit::Action::kOrder}}};
  ASSAY_ASSIGN(const JsonObject object, JsonObject::open(node, place, kKeys));
  ASSAY_ASSIGN(const auto* action, only_one(object, kActions, "action"));
  ScheduleEdit edit;
  edit.action = action->second;
  const JsonPlace at = object.place(action->first);
  const json& value = *object.find(action->first);
  for (const std::string_view key : {"part", "times", "gamma"})
    if (object.has(key) && action->first != (key == "part" ? "skip" : "repeat"))
      return object.place(key).refuse("comes with '" + std::string(action->first) + "'", "it has no meaning there");
  if (edit.action == ScheduleEdit::Action::kOrder) {
    ASSAY_TRY(json_list(value, at, 1, kMostBlocks));
    for (size_t i = 0; i < value.size(); ++i) {
      ASSAY_ASSIGN(const int64_t block, json_integer(value[i], at.item(i), 0, kLastBlock));
      edit.order.push_back(static_cast<int>(block));
    }
    return edit;
  }
  ASSAY_TRY(parse_range(value, at, edit));
  if (const json* part = object.find("part")) {
    ASSAY_ASSIGN(edit.part, parse_part(*part, object.place("part")));
  }
  if (edit.action == ScheduleEdit::Action::kRepeat) {
    ASSAY_ASSIGN(const int64_t times, object.integer("times", 1, kMostRuns));
    edit.times = static_cast<int>(times);
    if (object.has("gamma")) {
      ASSAY_ASSIGN(edit.gamma, object.real("gamma", -kLargestGamma, kLargestGamma));
    }
    if (edit.times == 1 && edit.gamma == 1) return place.refuse("runs its blocks once, at full size", "that changes nothing");
  }
  return edit;
}

Result<AttentionEdit> parse_attention(const json& node, const JsonPlace& place) {
  static constexpr std::string_view kKeys[] = {"layer", "heads", "rule", "k", "basis"};
  ASSAY_ASSIGN(const JsonObject object, JsonObject::open(node, place, kKeys));
  AttentionEdit edit;
  ASSAY_ASSIGN(const int64_t layer, object.integer("layer", 0, kLastBlock));
  edit.layer = static_cast<int>(layer);
  if (const json* heads = object.find("heads")) {
    ASSAY_TRY(json_list(*heads, object.place("heads"), 1, kMostBlocks));
    for (size_t i = 0; i < heads->size(); ++i) {
      const JsonPlace at = object.place("heads").item(i);
      ASSAY_ASSIGN(const int64_t head, json_integer((*heads)[i], at, 0, kLastBlock));
      if (std::find(edit.heads.begin(), edit.heads.end(), head) != edit.heads.end()) return at.refuse("is given twice", "each head once");
      edit.heads.push_back(static_cast<int>(head));
    }
  }
  ASSAY_ASSIGN(const std::string rule, object.text("rule", kLongestName));
  const auto* known = std::find_if(std::begin(kRules), std::end(kRules), [&](const auto& entry) { return entry.second == rule; });
  if (known == std::end(kRules))
    return object.place("rule").refuse("is \"" + printable(rule) + "\"", "full, top-1, top-k or low-rank is needed");
  edit.rule = known->first;
  const bool counts = edit.rule == Rule::kTopK || edit.rule == Rule::kLowRank;
  for (const auto& [key, wanted] : {std::pair{"k", counts}, std::pair{"basis", edit.rule == Rule::kLowRank}})
    if (object.has(key) && !wanted) return object.place(key).refuse("comes with the rule " + rule, "it has no meaning there");
  if (counts) {
    ASSAY_ASSIGN(const int64_t k, object.integer("k", 1, kLastBlock));
    edit.k = static_cast<int>(k);
  }
  if (edit.rule == Rule::kLowRank) {
    ASSAY_ASSIGN(edit.basis, object.text("basis", kLongestPath));
  }
  return edit;
}

Result<ResidualEdit> parse_residual(const json& node, const JsonPlace& place) {
  static constexpr std::string_view kKeys[] = {"replace", "first", "cumulative", "rank"};
  constexpr std::array<std::pair<std::string_view, Form>, 3> kForms = {
      {{"replace", Form::kReplace}, {"first", Form::kFirst}, {"cumulative", Form::kCumulative}}};
  ASSAY_ASSIGN(const JsonObject object, JsonObject::open(node, place, kKeys));
  ASSAY_ASSIGN(const auto* form, only_one(object, kForms, "form"));
  ResidualEdit edit;
  edit.form = form->second;
  const JsonPlace at = object.place(form->first);
  if (edit.form == Form::kReplace) {
    ASSAY_ASSIGN(const int64_t layer, json_integer(*object.find("replace"), at, 0, kLastBlock));
    edit.layer = static_cast<int>(layer);
  } else if (*object.find(form->first) != json(true)) {
    return at.refuse(found_in(*object.find(form->first)), "true is needed", "leave it out for none");
  }
  if (object.has("rank")) {
    ASSAY_ASSIGN(const int64_t rank, object.integer("rank", 1, kLastIndex));
    edit.rank = static_cast<int>(std::min<int64_t>(rank, std::numeric_limits<int>::max()));
  }
  return edit;
}

template <class Edit>
Status parse_edits(const JsonObject& object, std::string_view key, Result<Edit> (*parse)(const json&, const JsonPlace&),
                   std::vector<Edit>& out) {
  if (!object.has(key)) return {};
  ASSAY_ASSIGN(const json* list, object.list(key, 1, kMostEdits));
  const JsonPlace place = object.place(key);
  for (size_t i = 0; i < list->size(); ++i) {
    ASSAY_ASSIGN(Edit edit, parse((*list)[i], place.item(i)));
    out.push_back(std::move(edit));
  }
  return {};
}

}  // namespace

Result<Coordinate> parse_coordinate(const json& node, const JsonPlace& place) {
  if (!node.is_array() || node.size() != 2) return place.refuse(found_in(node), "[row, column] is needed");
  ASSAY_ASSIGN(const uint64_t row, json_unsigned(node[0], place.item(0), kLastIndex));
  ASSAY_ASSIGN(const uint64_t column, json_unsigned(node[1], place.item(1), kLastIndex));
  return Coordinate{row, column};
}

Result<GgmlType> parse_type(const json& node, const JsonPlace& place) {
  ASSAY_ASSIGN(const std::string name, json_string(node, place, kLongestName));
  if (const GgmlTypeInfo* type = find_type(name)) return type->type;
  std::vector<std::string> known;
  for (const GgmlTypeInfo& info : all_types()) known.emplace_back(info.name);
  const std::string near = nearest_name(name, known);
  return place.refuse("is \"" + printable(name) + "\"", "a ggml type is needed (Q4_K, IQ4_XS, F16, ...)",
                      near.empty() ? "" : "did you mean " + near + "?");
}

std::string_view name_of(ScheduleEdit::Part part) { return kParts[static_cast<size_t>(part)].second; }

Result<ScheduleEdit::Part> parse_part(const json& node, const JsonPlace& place) {
  for (const auto& [part, name] : kParts)
    if (node == json(name)) return part;
  return place.refuse(found_in(node), "block, attention or ffn is needed");
}

Result<Variant> parse_variant(const json& node, const JsonPlace& place) {
  static constexpr std::string_view kKeys[] = {"name", "weights", "schedule", "attention", "residual"};
  ASSAY_ASSIGN(const JsonObject object, JsonObject::open(node, place, kKeys));
  Variant variant;
  if (object.has("name")) {
    ASSAY_ASSIGN(variant.name, object.text("name", kLongestName));
  }
  ASSAY_TRY(parse_edits(object, "weights", parse_weight, variant.weights));
  ASSAY_TRY(parse_edits(object, "schedule", parse_schedule, variant.schedule));
  ASSAY_TRY(parse_edits(object, "attention", parse_attention, variant.attention));
  ASSAY_TRY(parse_edits(object, "residual", parse_residual, variant.residual));
  if (variant.weights.empty() && variant.schedule.empty() && variant.attention.empty() && variant.residual.empty())
    return place.refuse("changes nothing", "one of weights, schedule, attention, residual is needed");
  return variant;
}

Result<VariantFile> parse_variants(const json& tree, const std::string& who) {
  static constexpr std::string_view kKeys[] = {"variants", "families"};
  VariantFile file;
  const JsonPlace root{who, ""};
  const json* variants = tree.is_array() ? &tree : nullptr;
  const json* families = nullptr;
  if (variants == nullptr) {
    if (!tree.is_object()) return root.refuse(found_in(tree), "a list of variants, or an object with variants and families is needed");
    ASSAY_ASSIGN(const JsonObject object, JsonObject::open(tree, root, kKeys));
    variants = object.find("variants"), families = object.find("families");
  }
  if (variants != nullptr) {
    const JsonPlace place = root.key("variants");
    ASSAY_TRY(json_list(*variants, place, families == nullptr ? 1 : 0, kMostVariants));
    std::set<std::string> names;
    for (size_t i = 0; i < variants->size(); ++i) {
      ASSAY_ASSIGN(Variant variant, parse_variant((*variants)[i], place.item(i)));
      if (!variant.name.empty() && !names.insert(variant.name).second)
        return place.item(i).key("name").refuse("is '" + printable(variant.name) + "' again", "each name once");
      file.variants.push_back(std::move(variant));
    }
  }
  if (families != nullptr) {
    const JsonPlace place = root.key("families");
    ASSAY_TRY(json_list(*families, place, variants == nullptr ? 1 : 0, kMostFamilies));
    for (size_t i = 0; i < families->size(); ++i) {
      ASSAY_ASSIGN(Family family, parse_family((*families)[i], place.item(i)));
      file.families.push_back(std::move(family));
    }
  }
  if (file.variants.empty() && file.families.empty()) return root.refuse("has no variants", "variants or families are needed");
  return file;
}

Result<VariantFile> parse_variants(std::string_view text, VariantFormat format, const std::string& who) {
  if (text.size() > kLargestFile)
    return fail(ErrorCode::kBadInput, {who, "has " + format_bytes(text.size()), "at most " + format_bytes(kLargestFile) + " are read",
                                       "a family says much in a line"});
  ASSAY_ASSIGN(const json tree, format == VariantFormat::kYaml ? parse_yaml(text, who) : parse_json(text, who, RepeatedKeys::kRefuse));
  return parse_variants(tree, who);
}

Result<VariantFile> read_variants(const std::string& path) {
  ASSAY_ASSIGN(const std::string text, read_text_file(path, kLargestFile));
  const std::string lower = lower_ascii(path);
  const bool yaml = lower.ends_with(".yaml") || lower.ends_with(".yml");
  return parse_variants(text, yaml ? VariantFormat::kYaml : VariantFormat::kJson, path);
}

}  // namespace assay
