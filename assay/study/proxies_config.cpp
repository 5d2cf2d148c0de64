#include "assay/study/proxies_config.h"

#include <nlohmann/json.hpp>

#include "assay/base/text.h"
#include "assay/file/atomic_writer.h"
#include "assay/file/json_object.h"
#include "assay/file/json_text.h"
#include "assay/file/yaml_text.h"
#include "assay/plan/presets.h"

namespace assay {
namespace {

using nlohmann::json;
using T = GgmlType;
constexpr size_t kLongestName = 200, kMost = 100;
constexpr uint64_t kMostCount = 1'000'000;

Status read_types(const JsonObject& object, const char* key, std::vector<GgmlType>& types) {
  if (!object.has(key)) return {};
  ASSAY_ASSIGN(const json* list, object.list(key, 0, kMost));
  types.clear();
  for (size_t i = 0; i < list->size(); ++i) {
    const JsonPlace place = object.place(key).item(i);
    ASSAY_ASSIGN(const std::string name, json_string((*list)[i], place, kLongestName));
    const GgmlTypeInfo* const type = find_type(name);
    if (type == nullptr) return place.refuse("is \"" + printable(name) + "\"", "a ggml type such as Q4_K");
    types.push_back(type->type);
  }
  return {};
}

Status read_presets(const JsonObject& object, std::vector<std::string>& presets) {
  if (!object.has("presets")) return {};
  ASSAY_ASSIGN(const json* list, object.list("presets", 0, kMost));
  presets.clear();
  for (size_t i = 0; i < list->size(); ++i) {
    ASSAY_ASSIGN(const std::string name, json_string((*list)[i], object.place("presets").item(i), kLongestName));
    ASSAY_ASSIGN(const Preset* preset, find_preset(name));
    presets.emplace_back(preset->name);
  }
  return {};
}

Status read_noise(const JsonObject& object, std::vector<double>& noise) {
  if (!object.has("noise")) return {};
  ASSAY_ASSIGN(const json* list, object.list("noise", 0, kMost));
  noise.clear();
  for (size_t i = 0; i < list->size(); ++i) {
    ASSAY_ASSIGN(const double part, json_real((*list)[i], object.place("noise").item(i), 1e-9, 10));
    noise.push_back(part);
  }
  return {};
}

Status read_count(const JsonObject& object, const char* key, uint64_t& count) {
  if (!object.has(key)) return {};
  ASSAY_ASSIGN(count, object.number(key, kMostCount));
  return {};
}

Result<ProxiesConfig> parse(const json& tree, const std::string& who, ProxiesConfig config) {
  constexpr std::string_view kKeys[] = {"name",           "presets", "types",   "low_types", "noise",     "skip_layers", "layers",
                                        "single_weights", "items",   "windows", "predicts",  "resamples", "seed"};
  ASSAY_ASSIGN(const JsonObject object, JsonObject::open(tree, {who, ""}, kKeys));
  if (object.has("name")) {
    ASSAY_ASSIGN(config.name, object.text("name", kLongestName));
  }
  ASSAY_TRY(read_presets(object, config.presets));
  ASSAY_TRY(read_types(object, "types", config.types));
  ASSAY_TRY(read_types(object, "low_types", config.low_types));
  ASSAY_TRY(read_noise(object, config.noise));
  if (const json* skip = object.find("skip_layers")) {
    if (!skip->is_boolean()) return object.place("skip_layers").refuse(found_in(*skip), "true or false");
    config.skip_layers = skip->get<bool>();
  }
  if (object.has("layers")) {
    ASSAY_ASSIGN(const std::string layers, object.text("layers", kLongestName));
    ASSAY_ASSIGN(config.layers, parse_layers(layers));
  }
  ASSAY_TRY(read_count(object, "single_weights", config.single_weights));
  ASSAY_TRY(read_count(object, "items", config.items));
  ASSAY_TRY(read_count(object, "windows", config.windows));
  if (object.has("predicts")) {
    ASSAY_ASSIGN(config.predicts, object.real("predicts", 0.01, 0.99));
  }
  if (object.has("resamples")) {
    ASSAY_ASSIGN(const int64_t resamples, object.integer("resamples", 200, 100'000));
    config.resamples = static_cast<uint32_t>(resamples);
  }
  if (object.has("seed")) {
    ASSAY_ASSIGN(config.seed, object.number("seed", UINT64_MAX / 2));
  }
  return config;
}

}  // namespace

ProxiesConfig default_proxies_config(bool quick) {
  ProxiesConfig config;
  if (quick) {
    config.presets = {"Q2_K", "Q4_K_M", "Q6_K"};
    config.types = {T::kQ3_K, T::kQ4_0, T::kQ8_0};
    config.noise = {0.05, 0.2};
    config.single_weights = 2;
    config.items = 20;
    config.windows = 2;
    return config;
  }
  config.presets = {"Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_0", "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K", "Q8_0"};
  config.types = {T::kQ2_K, T::kQ3_K, T::kIQ4_NL, T::kQ4_0, T::kQ4_1, T::kQ4_K, T::kQ5_0, T::kQ5_K, T::kQ6_K};
  config.low_types = {T::kQ2_K, T::kQ4_0};
  config.noise = {0.01, 0.02, 0.05, 0.1, 0.2};
  config.single_weights = 6;
  config.items = 200;
  config.windows = 8;
  return config;
}

Result<ProxiesConfig> parse_proxies_config(std::string_view text, bool yaml, const std::string& who, ProxiesConfig config) {
  if (yaml) {
    ASSAY_ASSIGN(const json tree, parse_yaml(text, who));
    return parse(tree, who, std::move(config));
  }
  ASSAY_ASSIGN(const json tree, parse_json(text, who, RepeatedKeys::kRefuse));
  return parse(tree, who, std::move(config));
}

Result<ProxiesConfig> read_proxies_config(const std::string& path, ProxiesConfig config) {
  ASSAY_ASSIGN(const std::string text, read_text_file(path));
  return parse_proxies_config(text, path.ends_with(".yaml") || path.ends_with(".yml"), path, std::move(config));
}

}  // namespace assay
