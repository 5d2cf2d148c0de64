// RAMP's configuration, JSON: {"config": {group: TYPE}, ...}, a type for each decision group (decision_groups.h, RAMP's rule). Needs the
// model's tensors. A group that this rule does not have may be one role of a block: "layer.3.ffn_down". Vectors and routers, which
// llama.cpp does not quantize, keep their types whatever their group's is.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "assay/base/nearest_names.h"
#include "assay/base/text.h"
#include "assay/file/json_object.h"
#include "assay/file/json_text.h"
#include "assay/plan/decision_groups.h"
#include "assay/plan/foreign_types.h"
#include "assay/plan/presets.h"
#include "assay/plan/recipe_format.h"
#include "assay/plan/recipe_size.h"

namespace assay {
namespace {

using Json = nlohmann::json;
constexpr size_t kLongestName = 256;

bool recognises(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && text[first] == '{' && text.find("\"config\"") != std::string_view::npos;
}

// RAMP calls the token embedding "embed".
std::string our_group(const std::string& name) { return name == "global.embed" ? "global.token_embd" : name; }
std::string ramp_group(const std::string& name) { return name == "global.token_embd" ? "global.embed" : name; }

// The tensors that a group's name stands for; empty: none.
std::vector<size_t> members(const ModelStructure& structure, const std::string& name) {
  std::vector<size_t> places;
  if (const DecisionGroup* const group = structure.find(our_group(name))) {
    places = group->tensors;
  } else if (name.starts_with("layer.")) {
    const std::string one = "blk." + name.substr(std::string_view("layer.").size()) + ".weight";
    for (size_t i = 0; i < structure.tensors.size(); ++i)
      if (structure.tensors[i].name == one) places.push_back(i);
  }
  return places;
}

tl::unexpected<Error> needs_model(const std::string& who) {
  return fail(ErrorCode::kUsage, {who, "gives types to groups of tensors", "the model's tensors are needed (--model)", ""});
}

Result<ReadRecipe> read(std::string_view text, const RecipeReadOptions& options) {
  ASSAY_ASSIGN(const Json root, parse_json(text, options.who, RepeatedKeys::kRefuse));
  const JsonPlace top{options.who, ""};
  if (!root.is_object()) return top.refuse(found_in(root), "an object is needed");
  const auto config = root.find("config");
  if (config == root.end() || !config->is_object() || config->empty())
    return top.key("config").refuse(config == root.end() ? "is missing" : found_in(*config), "groups and their types are needed");
  if (options.tensors.empty()) return needs_model(options.who);
  ASSAY_ASSIGN(const ModelStructure structure, model_structure({options.tensors.begin(), options.tensors.end()}, GroupRule::kRamp));
  ReadRecipe result;
  std::map<std::string, std::string> given_by;
  size_t left_alone = 0;
  for (const auto& [name, node] : config->items()) {
    const JsonPlace place = top.key("config").key(printable(name));
    ASSAY_ASSIGN(const std::string type_name, json_string(node, place, kLongestName));
    const TypeSize* const type = find_type_size(type_name);
    if (type == nullptr) return unknown_type(options.who + ": " + place.path, type_name);
    const std::vector<size_t> places = members(structure, name);
    if (places.empty()) {
      std::vector<std::string> known;
      for (const DecisionGroup& group : structure.groups) known.push_back(ramp_group(group.name));
      const auto near = nearest_names(name.substr(0, 128), known, 3);
      return fail(ErrorCode::kMismatch, {options.who + ": " + place.path, "is no group of the model", "",
                                         near.empty() ? "a recipe of another model?" : "did you mean " + join(near, ", ") + "?"});
    }
    for (const size_t i : places) {
      const TensorInfo& tensor = structure.tensors[i];
      if (!is_quantizable(tensor)) {
        ++left_alone;
        continue;
      }
      const auto [at, is_new] = given_by.emplace(tensor.name, name);
      if (!is_new && result.document.types[tensor.name] != type->name)
        return fail(ErrorCode::kMismatch, {options.who + ": tensor '" + tensor.name + "'",
                                           "is in '" + at->second + "' and in '" + name + "'", "one type is needed", ""});
      result.document.types[tensor.name] = type->name;
    }
  }
  if (left_alone > 0) result.losses.push_back("types of " + group_digits(left_alone) + " vectors and routers, which are never quantized");
  for (const auto& [key, value] : root.items()) {
    if (key == "config") continue;
    if (key == "gguf_source" && value.is_string() && value.get_ref<const std::string&>().size() <= kLongestName)
      result.document.provenance.model = value.get<std::string>();
    else
      result.losses.push_back("'" + printable(key) + "'");
  }
  return result;
}

Result<WrittenRecipe> write(const RecipeDocument& document, std::span<const TensorInfo> tensors) {
  if (tensors.empty()) return needs_model("a configuration of RAMP");
  ASSAY_ASSIGN(const ModelStructure structure, model_structure({tensors.begin(), tensors.end()}, GroupRule::kRamp));
  WrittenRecipe result;
  nlohmann::ordered_json config = nlohmann::ordered_json::object();
  std::vector<std::string> mixed;
  size_t unquantized = 0, added = 0;
  for (const DecisionGroup& group : structure.groups) {
    std::map<std::string, uint64_t> elements;  // by type, of the tensors that are quantized
    size_t named = 0, absent = 0;
    for (const size_t i : group.tensors) {
      const TensorInfo& tensor = structure.tensors[i];
      const auto found = document.types.find(tensor.name);
      if (!is_quantizable(tensor)) {
        unquantized += found != document.types.end() ? 1 : 0;
        continue;
      }
      if (found == document.types.end()) {
        ++absent;
        continue;
      }
      ++named;
      elements[found->second] += tensor.elements();
    }
    if (named == 0) continue;
    added += absent;
    const auto most = std::max_element(elements.begin(), elements.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    if (elements.size() > 1) {
      std::vector<std::string> types;
      for (const auto& [type, count] : elements) types.push_back(type);
      mixed.push_back(ramp_group(group.name) + " (" + join(types, ", ") + " -> " + most->first + ")");
    }
    std::string upper = most->first;
    for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    config[ramp_group(group.name)] = upper;
  }
  if (config.empty()) return fail(ErrorCode::kBadInput, {"recipe", "names no tensor that is quantized", "", ""});
  nlohmann::ordered_json root = {{"method", document.provenance.tool.empty() ? "assay" : document.provenance.tool}};
  if (document.prediction.tensor_bytes) root["budget_bytes"] = *document.prediction.tensor_bytes;
  if (!document.provenance.model.empty()) root["gguf_source"] = document.provenance.model;
  root["total_groups"] = structure.groups.size();
  root["n_layers"] = structure.layers;
  root["config"] = std::move(config);
  result.text = root.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  if (!mixed.empty())
    result.losses.push_back("different types within " + group_digits(mixed.size()) + " groups, which take the one of most weights: " +
                            join({mixed.begin(), mixed.begin() + static_cast<ptrdiff_t>(std::min<size_t>(mixed.size(), 5))}, ", ") +
                            (mixed.size() > 5 ? ", ..." : ""));
  if (added > 0) result.losses.push_back(group_digits(added) + " tensors that the recipe leaves alone take their group's type");
  if (unquantized > 0) result.losses.push_back("types of " + group_digits(unquantized) + " vectors and routers, which are never quantized");
  RecipeDocument rest = document;
  rest.provenance.model.clear();
  rest.provenance.tool.clear();
  rest.prediction.tensor_bytes.reset();
  add_document_losses(rest, result.losses);
  return result;
}

}  // namespace

const RecipeFormat kRampFormat = {"ramp", "RAMP's configuration, JSON", recognises, read, write};

}  // namespace assay
