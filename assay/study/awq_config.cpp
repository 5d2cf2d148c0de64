#include <nlohmann/json.hpp>

#include "assay/base/text.h"
#include "assay/file/json_object.h"
#include "assay/file/json_text.h"
#include "assay/file/yaml_text.h"
#include "assay/study/awq_study.h"
#include "assay/study/criterion_io.h"

namespace assay {
namespace {

using nlohmann::json;
constexpr size_t kLongestName = 200, kMostTypes = 40;

Result<AwqStudyConfig> parse(const json& tree, const std::string& who) {
  constexpr std::string_view kKeys[] = {"name", "types", "bits", "group", "calibration_windows", "windows", "criteria", "seed"};
  ASSAY_ASSIGN(const JsonObject object, JsonObject::open(tree, {who, ""}, kKeys));
  AwqStudyConfig config;
  if (object.has("name")) {
    ASSAY_ASSIGN(config.name, object.text("name", kLongestName));
  }
  if (object.has("types")) {
    ASSAY_ASSIGN(const json* list, object.list("types", 0, kMostTypes));
    config.types.clear();
    for (size_t i = 0; i < list->size(); ++i) {
      const JsonPlace place = object.place("types").item(i);
      ASSAY_ASSIGN(const std::string name, json_string((*list)[i], place, kLongestName));
      const GgmlTypeInfo* const type = find_type(name);
      if (type == nullptr || !type->quantized) return place.refuse("is \"" + printable(name) + "\"", "a quantized ggml type such as Q4_K");
      config.types.push_back(type->type);
    }
  }
  if (object.has("bits")) {
    ASSAY_ASSIGN(const json* list, object.list("bits", 0, 7));
    config.bits.clear();
    for (size_t i = 0; i < list->size(); ++i) {
      ASSAY_ASSIGN(const int64_t bits, json_integer((*list)[i], object.place("bits").item(i), 2, 8));
      config.bits.push_back(static_cast<int>(bits));
    }
  }
  const auto read = [&](std::string_view key, int64_t low, uint64_t& value) -> Status {
    if (!object.has(key)) return {};
    ASSAY_ASSIGN(const int64_t number, object.integer(key, low, 1 << 24));
    value = static_cast<uint64_t>(number);
    return {};
  };
  ASSAY_TRY(read("group", 8, config.group));
  ASSAY_TRY(read("calibration_windows", 1, config.calibration_windows));
  ASSAY_TRY(read("windows", 0, config.windows));
  if (object.has("seed")) {
    ASSAY_ASSIGN(config.seed, object.number("seed", UINT64_MAX / 2));
  }
  ASSAY_TRY(read_criteria(object, "criteria", config.criteria));
  if (config.types.empty() && config.bits.empty())
    return object.place("types").refuse("is empty, and so is bits", "a type or a grid to measure");
  return config;
}

}  // namespace

std::string awq_statistic(const std::string& target) { return "change of KL by AWQ at " + target; }

std::vector<Criterion> default_awq_criteria(const std::vector<GgmlType>& types) {
  std::vector<Criterion> criteria;
  for (const GgmlType type : types) {
    const std::string name = find_type(type)->name;
    criteria.push_back({"AWQ lowers KL at " + name, awq_statistic(name), Criterion::Rule::kBelow, 0});
  }
  return criteria;
}

Result<AwqStudyConfig> parse_awq_config(std::string_view text, bool yaml, const std::string& who) {
  if (yaml) {
    ASSAY_ASSIGN(const json tree, parse_yaml(text, who));
    return parse(tree, who);
  }
  ASSAY_ASSIGN(const json tree, parse_json(text, who, RepeatedKeys::kRefuse));
  return parse(tree, who);
}

Result<AwqStudyConfig> read_awq_config(const std::string& path) {
  ASSAY_ASSIGN(const std::string text, read_text_file(path));
  return parse_awq_config(text, path.ends_with(".yaml") || path.ends_with(".yml"), path);
}

}  // namespace assay
