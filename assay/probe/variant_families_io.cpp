#include <algorithm>
#include <nlohmann/json.hpp>

#include "assay/base/text.h"
#include "assay/probe/variant_families.h"
#include "assay/probe/variant_io.h"
#include "assay/probe/variant_words.h"

namespace assay {
namespace {

using nlohmann::json;
using namespace variant_words;
using FamilyKind = Family::Kind;

struct FamilyForm {
  FamilyKind kind;
  std::string_view name;
  std::vector<std::string_view> keys;    // that may come with it
  std::vector<std::string_view> needed;  // of them
};

const std::vector<FamilyForm>& family_forms() {
  static const std::vector<FamilyForm> forms = {
      {FamilyKind::kSkipEachLayer, "skip-each-layer", {"layers", "part"}, {}},
      {FamilyKind::kSkipPairs, "skip-pairs", {"layers", "part"}, {}},
      {FamilyKind::kRepeatEachLayer, "repeat-each-layer", {"layers", "times", "gammas"}, {}},
      {FamilyKind::kLevels, "levels", {"layers", "tensors", "samples", "seed"}, {}},
      {FamilyKind::kBytes, "bytes", {"layers", "tensors", "samples", "seed"}, {}},
      {FamilyKind::kZero, "zero", {"coordinates", "joint"}, {"coordinates"}},
      {FamilyKind::kPairs, "pairs", {"of"}, {"of"}},
      {FamilyKind::kJoint, "joint", {"of"}, {"of"}},
      {FamilyKind::kTop, "top", {"file", "rankings", "k", "part"}, {"k"}},
      {FamilyKind::kRequantize, "requantize", {"layers", "tensors", "types"}, {"types"}},
  };
  return forms;
}

Status parse_layer_key(const json& node, const JsonPlace& place, Family& family) {
  // YAML reads a lone 3 as a number.
  const std::string text = node.is_number_integer() ? node.dump() : node.is_string() ? node.get<std::string>() : "";
  const auto ranges = parse_layers(text);
  if (!ranges) return place.refuse(found_in(node), "layers like \"0-5,9\" are needed");
  family.layers = *ranges;
  return {};
}

// Fills `out` with what `parse` makes of every item.
template <class T, class Parse>
Status parse_items(const json& node, const JsonPlace& place, size_t low, size_t high, std::vector<T>& out, const Parse& parse) {
  ASSAY_TRY(json_list(node, place, low, high));
  out.clear();
  for (size_t i = 0; i < node.size(); ++i) {
    ASSAY_ASSIGN(T item, parse(node[i], place.item(i)));
    out.push_back(std::move(item));
  }
  return {};
}

Result<int> parse_layer_number(const json& node, const JsonPlace& place) {
  ASSAY_ASSIGN(const int64_t number, json_integer(node, place, 0, kLastBlock));
  return static_cast<int>(number);
}

Result<Family::Weight> parse_weight_at(const json& node, const JsonPlace& place) {
  static constexpr std::string_view kKeys[] = {"tensor", "at"};
  ASSAY_ASSIGN(const JsonObject object, JsonObject::open(node, place, kKeys));
  Family::Weight weight;
  ASSAY_ASSIGN(weight.tensor, object.text("tensor", kLongestName));
  if (!object.has("at")) return place.refuse("has no 'at'", "[row, column] is needed");
  ASSAY_ASSIGN(weight.at, parse_coordinate(*object.find("at"), object.place("at")));
  return weight;
}

Status parse_key(std::string_view key, const json& node, const JsonPlace& place, Family& family) {
  const auto text = [](const json& item, const JsonPlace& at) { return json_string(item, at, kLongestName); };
  if (key == "layers") return parse_layer_key(node, place, family);
  if (key == "part") {
    ASSAY_ASSIGN(family.part, parse_part(node, place));
  } else if (key == "tensors") {
    return parse_items(node, place, 1, kMostEdits, family.tensors, text);
  } else if (key == "times") {
    ASSAY_ASSIGN(const int64_t times, json_integer(node, place, 1, kMostRuns));
    family.times = static_cast<int>(times);
  } else if (key == "gammas") {
    return parse_items(node, place, 1, kMostFamilies, family.gammas,
                       [](const json& item, const JsonPlace& at) { return json_real(item, at, -kLargestGamma, kLargestGamma); });
  } else if (key == "samples") {
    ASSAY_ASSIGN(const int64_t samples, json_integer(node, place, 1, static_cast<int64_t>(kMostVariants)));
    family.samples = static_cast<uint64_t>(samples);
  } else if (key == "seed") {
    ASSAY_ASSIGN(family.seed, json_unsigned(node, place, UINT64_MAX));
  } else if (key == "coordinates") {
    return parse_items(node, place, 1, kMostEdits, family.coordinates, parse_weight_at);
  } else if (key == "joint") {
    if (!node.is_boolean()) return place.refuse(found_in(node), "true or false is needed");
    family.joint = node.get<bool>();
  } else if (key == "of") {
    return parse_items(node, place, 2, kMostEdits, family.of, parse_variant);
  } else if (key == "file") {
    ASSAY_ASSIGN(family.file, json_string(node, place, kLongestPath));
  } else if (key == "rankings") {
    ASSAY_ASSIGN(family.rankings, parse_rankings(node, place));
  } else if (key == "k") {
    return parse_items(node, place, 1, kMostFamilies, family.k, [](const json& item, const JsonPlace& at) -> Result<int> {
      ASSAY_ASSIGN(const int64_t number, json_integer(item, at, 1, kLastBlock));
      return static_cast<int>(number);
    });
  } else if (key == "types") {
    return parse_items(node, place, 1, kMostFamilies, family.types, parse_type);
  }
  return {};
}

}  // namespace

Result<std::map<std::string, std::vector<int>>> parse_rankings(const json& node, const JsonPlace& place) {
  if (!node.is_object() || node.empty() || node.size() > kMostFamilies)
    return place.refuse(node.is_object() ? "has " + std::to_string(node.size()) + " rankings" : found_in(node),
                        "{method: [layers, most important first]} is needed");
  std::map<std::string, std::vector<int>> rankings;
  for (const auto& [method, layers] : node.items()) {
    const JsonPlace at = place.key(printable(method));
    if (method.empty() || method.size() > kLongestName) return at.refuse("is no name", "1 to 200 bytes are needed");
    ASSAY_TRY(parse_items(layers, at, 1, kMostBlocks, rankings[method], parse_layer_number));
    std::vector<int> sorted = rankings[method];
    std::sort(sorted.begin(), sorted.end());
    const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
    if (twice != sorted.end()) return at.refuse("has layer " + std::to_string(*twice) + " twice", "each layer once");
  }
  return rankings;
}

Result<Family> parse_family(const json& node, const JsonPlace& place) {
  if (!node.is_object()) return place.refuse(found_in(node), "an object is needed");
  std::vector<std::string> names;
  for (const FamilyForm& form : family_forms()) names.emplace_back(form.name);
  if (!node.contains("family")) return place.refuse("has no 'family'", "one of " + join(names, ", ") + " is needed");
  ASSAY_ASSIGN(const std::string name, json_string(node["family"], place.key("family"), kLongestName));
  const auto form = std::find_if(family_forms().begin(), family_forms().end(), [&](const FamilyForm& f) { return f.name == name; });
  if (form == family_forms().end()) {
    const std::string near = nearest_name(name, names);
    return place.key("family").refuse("is \"" + printable(name) + "\"", "one of " + join(names, ", ") + " is needed",
                                      near.empty() ? "" : "did you mean " + near + "?");
  }
  std::vector<std::string_view> known = {"family"};
  known.insert(known.end(), form->keys.begin(), form->keys.end());
  ASSAY_ASSIGN(const JsonObject object, JsonObject::open(node, place, known));
  Family family;
  family.kind = form->kind;
  for (const std::string_view key : form->keys)
    if (const json* value = object.find(key)) ASSAY_TRY(parse_key(key, *value, object.place(key), family));
  for (const std::string_view key : form->needed)
    if (!object.has(key)) return place.refuse("has no '" + std::string(key) + "'", "the family " + name + " needs it");
  if (family.kind == FamilyKind::kTop && object.has("file") == object.has("rankings"))
    return place.refuse(object.has("file") ? "has both 'file' and 'rankings'" : "has no ranking", "one of 'file' and 'rankings' is needed");
  if (family.kind == FamilyKind::kRepeatEachLayer && family.times == 1 &&
      std::find(family.gammas.begin(), family.gammas.end(), 1.0) != family.gammas.end())
    return place.refuse("runs layers once, at full size", "that changes nothing");
  return family;
}

}  // namespace assay
