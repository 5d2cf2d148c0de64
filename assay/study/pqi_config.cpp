#include "assay/study/pqi_config.h"

#include <nlohmann/json.hpp>

#include "assay/base/text.h"
#include "assay/file/atomic_writer.h"
#include "assay/file/json_object.h"
#include "assay/file/json_text.h"
#include "assay/file/yaml_text.h"
#include "assay/study/criterion_io.h"

namespace assay {
namespace {

using nlohmann::json;
constexpr size_t kLongestName = 200, kMostTypes = 40;
constexpr int64_t kMostIntervals = 4096;
constexpr double kLeastShare = 0.8, kMostShare = 1.2;

Result<PqiConfig> parse(const json& tree, const std::string& who) {
  constexpr std::string_view kKeys[] = {"name", "types", "layers", "intervals", "rules", "criteria", "seed"};
  ASSAY_ASSIGN(const JsonObject object, JsonObject::open(tree, {who, ""}, kKeys));
  PqiConfig config;
  if (object.has("name")) {
    ASSAY_ASSIGN(config.name, object.text("name", kLongestName));
  }
  if (object.has("types")) {
    ASSAY_ASSIGN(const json* list, object.list("types", 1, kMostTypes));
    for (size_t i = 0; i < list->size(); ++i) {
      const JsonPlace place = object.place("types").item(i);
      ASSAY_ASSIGN(const std::string name, json_string((*list)[i], place, kLongestName));
      const GgmlTypeInfo* const type = find_type(name);
      if (type == nullptr) return place.refuse("is \"" + printable(name) + "\"", "a ggml type such as Q4_K");
      config.types.push_back(type->type);
    }
  }
  if (object.has("layers")) {
    ASSAY_ASSIGN(const std::string layers, object.text("layers", kLongestName));
    ASSAY_ASSIGN(config.layers, parse_layers(layers));
  }
  if (object.has("intervals")) {
    ASSAY_ASSIGN(const int64_t intervals, object.integer("intervals", 1, kMostIntervals));
    config.intervals = static_cast<int>(intervals);
  }
  if (object.has("rules")) {
    ASSAY_ASSIGN(const json* list, object.list("rules", 1, std::size(kPathRules)));
    for (size_t i = 0; i < list->size(); ++i) {
      ASSAY_ASSIGN(const std::string name, json_string((*list)[i], object.place("rules").item(i), kLongestName));
      ASSAY_ASSIGN(const PathRule rule, path_rule(name));
      config.rules.push_back(rule);
    }
  }
  if (object.has("seed")) {
    ASSAY_ASSIGN(config.seed, object.number("seed", UINT64_MAX / 2));
  }
  ASSAY_TRY(read_criteria(object, "criteria", config.criteria));
  return config;
}

}  // namespace

PqiDefaults pqi_defaults(bool quick) {
  if (quick) return {{GgmlType::kQ4_K}, 8, 4};
  return {{GgmlType::kQ2_K, GgmlType::kQ4_K, GgmlType::kQ8_0}, 32, 10};
}

std::string share_statistic(GgmlType type) { return std::string("share of first and second order at ") + find_type(type)->name; }

std::vector<Criterion> default_pqi_criteria(const std::vector<GgmlType>& types) {
  std::vector<Criterion> criteria;
  for (const GgmlType type : types) {
    const std::string name = std::string("second order at ") + find_type(type)->name;
    criteria.push_back({name + ", not too small", share_statistic(type), Criterion::Rule::kAtLeast, kLeastShare});
    criteria.push_back({name + ", not too large", share_statistic(type), Criterion::Rule::kBelow, kMostShare});
  }
  return criteria;
}

Result<std::vector<PathRule>> parse_rules(std::string_view list) {
  std::vector<PathRule> rules;
  for (const std::string& name : split(std::string(list), ',')) {
    ASSAY_ASSIGN(const PathRule rule, path_rule(name));
    rules.push_back(rule);
  }
  return rules;
}

Result<PqiConfig> parse_pqi_config(std::string_view text, bool yaml, const std::string& who) {
  if (yaml) {
    ASSAY_ASSIGN(const json tree, parse_yaml(text, who));
    return parse(tree, who);
  }
  ASSAY_ASSIGN(const json tree, parse_json(text, who, RepeatedKeys::kRefuse));
  return parse(tree, who);
}

Result<PqiConfig> read_pqi_config(const std::string& path) {
  ASSAY_ASSIGN(const std::string text, read_text_file(path));
  return parse_pqi_config(text, path.ends_with(".yaml") || path.ends_with(".yml"), path);
}

}  // namespace assay
