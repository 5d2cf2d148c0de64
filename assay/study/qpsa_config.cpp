#include "assay/study/qpsa_config.h"

#include <nlohmann/json.hpp>

#include "assay/file/atomic_writer.h"
#include "assay/file/json_object.h"
#include "assay/file/json_text.h"
#include "assay/file/yaml_text.h"
#include "assay/probe/variant_families.h"
#include "assay/study/criterion_io.h"

namespace assay {
namespace {

using nlohmann::json;
constexpr size_t kMostItems = 1000, kLongestName = 200;
constexpr uint64_t kMostSamples = uint64_t{1} << 20;

template <class T, class Read>
Status read_list(const JsonObject& object, std::string_view key, std::vector<T>& out, const Read& read) {
  if (!object.has(key)) return {};
  ASSAY_ASSIGN(const json* list, object.list(key, 0, kMostItems));
  out.clear();
  for (size_t i = 0; i < list->size(); ++i) {
    ASSAY_ASSIGN(T item, read((*list)[i], object.place(key).item(i)));
    out.push_back(std::move(item));
  }
  return {};
}

Result<bool> parse_flag(const json& node, const JsonPlace& place) {
  if (!node.is_boolean()) return place.refuse(found_in(node), "true or false");
  return node.get<bool>();
}

Result<QpsaConfig> parse(const json& tree, const std::string& who) {
  constexpr std::string_view kKeys[] = {"name",     "tensors", "layers", "samples_per_matrix", "convergence", "k",          "methods",
                                        "rankings", "gammas",  "times",  "random_draws",       "byte_mode",   "level_mode", "criteria",
                                        "seed"};
  ASSAY_ASSIGN(const JsonObject object, JsonObject::open(tree, {who, ""}, kKeys));
  QpsaConfig config;
  const auto text = [](const json& node, const JsonPlace& place) { return json_string(node, place, kLongestName); };
  if (object.has("name")) {
    ASSAY_ASSIGN(config.name, object.text("name", kLongestName));
  }
  ASSAY_TRY(read_list(object, "tensors", config.tensors, text));
  ASSAY_TRY(read_list(object, "methods", config.methods, text));
  if (object.has("layers")) {
    ASSAY_ASSIGN(const std::string layers, object.text("layers", kLongestName));
    ASSAY_ASSIGN(config.layers, parse_layers(layers));
  }
  if (object.has("samples_per_matrix")) {
    ASSAY_ASSIGN(config.samples, object.number("samples_per_matrix", kMostSamples));
  }
  if (object.has("seed")) {
    ASSAY_ASSIGN(config.seed, object.number("seed", UINT64_MAX / 2));
  }
  ASSAY_TRY(read_list(object, "convergence", config.convergence,
                      [](const json& node, const JsonPlace& place) { return json_unsigned(node, place, kMostSamples); }));
  std::vector<int64_t> k(config.k.begin(), config.k.end());
  ASSAY_TRY(read_list(object, "k", k, [](const json& node, const JsonPlace& place) { return json_integer(node, place, 1, 10'000); }));
  config.k.assign(k.begin(), k.end());
  ASSAY_TRY(
      read_list(object, "gammas", config.gammas, [](const json& node, const JsonPlace& place) { return json_real(node, place, 0, 100); }));
  if (object.has("times")) {
    ASSAY_ASSIGN(const int64_t times, object.integer("times", 2, 64));
    config.times = static_cast<int>(times);
  }
  if (object.has("random_draws")) {
    ASSAY_ASSIGN(const int64_t draws, object.integer("random_draws", 1, 10'000));
    config.random_draws = static_cast<int>(draws);
  }
  if (const json* flag = object.find("byte_mode")) {
    ASSAY_ASSIGN(config.byte_mode, parse_flag(*flag, object.place("byte_mode")));
  }
  if (const json* flag = object.find("level_mode")) {
    ASSAY_ASSIGN(config.level_mode, parse_flag(*flag, object.place("level_mode")));
  }
  if (const json* rankings = object.find("rankings")) {
    ASSAY_ASSIGN(config.rankings, parse_rankings(*rankings, object.place("rankings")));
  }
  ASSAY_TRY(read_criteria(object, "criteria", config.criteria));
  return config;
}

}  // namespace

std::vector<Criterion> default_criteria() {
  using Rule = Criterion::Rule;
  return {{"differentiation", "rho of qpsa_byte with layer_ablation", Rule::kBelow, 0.9},
          {"pruning retention", "ppl ratio of qpsa_byte over the best baseline at K = 1", Rule::kBelow, 1},
          {"looping", "damage of repeating the top half over the bottom half", Rule::kBelow, 1},
          {"speed", "cost of qpsa_byte in runs of layer_ablation", Rule::kBelow, 100},
          {"reliability", "split-half rho of qpsa_byte", Rule::kAtLeast, 0.8},
          {"validity", "rho of qpsa_byte with layer_ablation", Rule::kAtLeast, 0.5},
          {"utility", "ppl ratio of qpsa_level over the best baseline at K = 1", Rule::kBelow, 1}};
}

Result<QpsaConfig> parse_qpsa_config(std::string_view text, bool yaml, const std::string& who) {
  if (yaml) {
    ASSAY_ASSIGN(const json tree, parse_yaml(text, who));
    return parse(tree, who);
  }
  ASSAY_ASSIGN(const json tree, parse_json(text, who, RepeatedKeys::kRefuse));
  return parse(tree, who);
}

Result<QpsaConfig> read_qpsa_config(const std::string& path) {
  ASSAY_ASSIGN(const std::string text, read_text_file(path));
  return parse_qpsa_config(text, path.ends_with(".yaml") || path.ends_with(".yml"), path);
}

Result<std::map<std::string, std::vector<int>>> read_rankings(const std::string& path) {
  ASSAY_ASSIGN(const std::string text, read_text_file(path));
  ASSAY_ASSIGN(const json tree, parse_json(text, path, RepeatedKeys::kRefuse));
  const JsonPlace root{path, ""};
  const bool envelope = tree.is_object() && tree.contains("assay") && tree.contains("result") && tree["result"].is_object();
  if (!envelope) return parse_rankings(tree, root);
  const JsonPlace place = root.key("result").key("methods");
  const auto methods = tree["result"].find("methods");
  if (methods == tree["result"].end() || !methods->is_array())
    return place.refuse("is not there", "the output of `assay study qpsa` has it");
  json plain = json::object();
  for (size_t i = 0; i < methods->size(); ++i) {
    const json& one = (*methods)[i];
    if (!one.is_object() || !one.contains("name") || !one["name"].is_string() || !one.contains("ranking"))
      return place.item(i).refuse("has no name and ranking", "both are needed");
    if (!one["ranking"].empty()) plain["given " + one["name"].get<std::string>()] = one["ranking"];
  }
  return parse_rankings(plain, place);
}

}  // namespace assay
