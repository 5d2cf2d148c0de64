#include <nlohmann/json.hpp>

#include "assay/base/text.h"
#include "assay/file/json_object.h"
#include "assay/file/json_text.h"
#include "assay/file/yaml_text.h"
#include "assay/study/rfic_study.h"

namespace assay {
namespace {

using nlohmann::json;
constexpr size_t kLongestName = 200, kMostRoles = 20;
constexpr std::string_view kRoles[] = {"attn_q", "attn_k", "attn_v", "attn_qkv", "attn_output", "ffn_gate", "ffn_up", "ffn_down"};

Status read_number(const JsonObject& object, std::string_view key, int64_t low, int64_t high, uint64_t& value) {
  if (!object.has(key)) return {};
  ASSAY_ASSIGN(const int64_t number, object.integer(key, low, high));
  value = static_cast<uint64_t>(number);
  return {};
}

Status read_rules(const JsonObject& object, std::string_view key, std::vector<RficRule>& rules) {
  if (!object.has(key)) return {};
  ASSAY_ASSIGN(const std::string text, object.text(key, kLongestName));
  const auto parsed = parse_rfic_rules(text);
  if (!parsed) return object.place(key).refuse("is \"" + printable(text) + "\"", "rules such as B,C (v0, A, B, C, each once)");
  rules = *parsed;
  return {};
}

Result<RficConfig> parse(const json& tree, const std::string& who) {
  constexpr std::string_view kKeys[] = {"name",  "layers",    "roles",        "bits",    "group", "symmetric",           "tokens",
                                        "rules", "gate_top",  "gate_windows", "ruleset", "top_k", "calibration_windows", "windows",
                                        "seed",  "gate_rules"};
  ASSAY_ASSIGN(const JsonObject object, JsonObject::open(tree, {who, ""}, kKeys));
  RficConfig config;
  if (object.has("name")) {
    ASSAY_ASSIGN(config.name, object.text("name", kLongestName));
  }
  if (object.has("layers")) {
    ASSAY_ASSIGN(const std::string layers, object.text("layers", kLongestName));
    ASSAY_ASSIGN(config.layers, parse_layers(layers));
  }
  if (object.has("roles")) {
    ASSAY_ASSIGN(const json* list, object.list("roles", 1, kMostRoles));
    config.roles.clear();
    for (size_t i = 0; i < list->size(); ++i) {
      const JsonPlace place = object.place("roles").item(i);
      ASSAY_ASSIGN(const std::string role, json_string((*list)[i], place, kLongestName));
      if (std::find(std::begin(kRoles), std::end(kRoles), role) == std::end(kRoles))
        return place.refuse("is \"" + printable(role) + "\"", "a matrix of a block such as ffn_down");
      config.roles.push_back(role);
    }
  }
  uint64_t bits = static_cast<uint64_t>(config.grid.bits), group = config.grid.group;
  ASSAY_TRY(read_number(object, "bits", 2, 8, bits));
  ASSAY_TRY(read_number(object, "group", 2, 1 << 20, group));
  config.grid.bits = static_cast<int>(bits);
  config.grid.group = group;
  if (const json* symmetric = object.find("symmetric")) {
    if (!symmetric->is_boolean()) return object.place("symmetric").refuse(found_in(*symmetric), "true or false");
    config.grid.zero_point = !symmetric->get<bool>();
  }
  ASSAY_TRY(read_number(object, "tokens", 1, 1 << 20, config.tokens));
  ASSAY_TRY(read_rules(object, "rules", config.rules));
  ASSAY_TRY(read_rules(object, "gate_rules", config.gate_rules));
  ASSAY_TRY(read_rules(object, "ruleset", config.ruleset));
  ASSAY_TRY(read_number(object, "gate_top", 0, 1000, config.gate_top));
  ASSAY_TRY(read_number(object, "gate_windows", 2, 1000, config.gate_windows));
  ASSAY_TRY(read_number(object, "top_k", 1, 100000, config.top_k));
  ASSAY_TRY(read_number(object, "calibration_windows", 1, 100000, config.calibration_windows));
  ASSAY_TRY(read_number(object, "windows", 0, 1000000, config.windows));
  ASSAY_TRY(read_number(object, "seed", 0, INT64_MAX / 2, config.seed));
  return config;
}

}  // namespace

Result<RficConfig> parse_rfic_config(std::string_view text, bool yaml, const std::string& who) {
  if (yaml) {
    ASSAY_ASSIGN(const json tree, parse_yaml(text, who));
    return parse(tree, who);
  }
  ASSAY_ASSIGN(const json tree, parse_json(text, who, RepeatedKeys::kRefuse));
  return parse(tree, who);
}

Result<RficConfig> read_rfic_config(const std::string& path) {
  ASSAY_ASSIGN(const std::string text, read_text_file(path));
  return parse_rfic_config(text, path.ends_with(".yaml") || path.ends_with(".yml"), path);
}

}  // namespace assay
