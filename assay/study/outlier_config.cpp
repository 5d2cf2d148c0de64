#include "assay/study/outlier_config.h"

#include <algorithm>
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
constexpr size_t kLongestText = 4096, kMostItems = 1000;
constexpr uint64_t kMostWeights = 1'000'000, kMostRestored = 4'000'000;  // a kept unit holds three lists of them
constexpr double kLeastShare = 0.01;

constexpr std::string_view kKeys[] = {"name",
                                      "strata_file",
                                      "strata",
                                      "prompts_per_stratum",
                                      "max_tokens",
                                      "layers",
                                      "super_weights",
                                      "spike",
                                      "robust",
                                      "walk",
                                      "under",
                                      "under_kl",
                                      "under_ppl",
                                      "controls",
                                      "match_magnitude",
                                      "imatrix",
                                      "strongest",
                                      "scales",
                                      "spread_radius",
                                      "channel_scale",
                                      "spreadable",
                                      "ranks",
                                      "sets",
                                      "tail",
                                      "tracked_prompts",
                                      "thresholds",
                                      "share_types",
                                      "share_k",
                                      "share_controls",
                                      "variants",
                                      "criteria",
                                      "seed",
                                      "rfic"};

// Optional keys of one object, each with its limits; the first fault is kept.
class Reader {
 public:
  explicit Reader(const JsonObject& object) : object_(object) {}

  void text(std::string_view key, std::string& into) {
    if (wanted(key)) take(object_.text(key, kLongestText), into);
  }
  void number(std::string_view key, uint64_t low, uint64_t high, uint64_t& into) {
    if (wanted(key)) take(object_.integer(key, static_cast<int64_t>(low), static_cast<int64_t>(high)), into);
  }
  void real(std::string_view key, double low, double high, double& into) {
    if (wanted(key)) take(object_.real(key, low, high), into);
  }
  void flag(std::string_view key, bool& into) {
    if (!wanted(key)) return;
    const json& node = *object_.find(key);
    if (!node.is_boolean()) {
      fail_with(object_.place(key).refuse(found_in(node), "true or false"));
    } else {
      into = node.get<bool>();
    }
  }
  // A list of `low` items or more; item(node, place) reads one.
  template <class Item, class ReadItem>
  void list(std::string_view key, size_t low, std::vector<Item>& into, const ReadItem& item) {
    if (!wanted(key)) return;
    const auto nodes = object_.list(key, low, kMostItems);
    if (!nodes) return fail_with(tl::unexpected<Error>(nodes.error()));
    into.clear();
    for (size_t i = 0; i < (*nodes)->size() && status_; ++i) {
      Result<Item> read = item((**nodes)[i], object_.place(key).item(i));
      if (!read) return fail_with(tl::unexpected<Error>(read.error()));
      into.push_back(std::move(*read));
    }
  }
  const JsonObject& object() const { return object_; }
  Status take_status() { return status_; }

 private:
  bool wanted(std::string_view key) const { return status_.has_value() && object_.has(key); }
  void fail_with(tl::unexpected<Error> error) { status_ = std::move(error); }
  template <class From, class Into>
  void take(const Result<From>& from, Into& into) {
    if (!from) return fail_with(tl::unexpected<Error>(from.error()));
    into = static_cast<Into>(*from);
  }

  const JsonObject& object_;
  Status status_;
};

Result<uint64_t> positive(const json& node, const JsonPlace& place) {
  ASSAY_ASSIGN(const int64_t value, json_integer(node, place, 1, static_cast<int64_t>(kMostRestored)));
  return static_cast<uint64_t>(value);
}

Result<GgmlType> type_of(const json& node, const JsonPlace& place) {
  ASSAY_ASSIGN(const std::string name, json_string(node, place, kLongestText));
  const GgmlTypeInfo* const type = find_type(name);
  if (type == nullptr) return place.refuse("is \"" + printable(name) + "\"", "a ggml type such as Q4_K");
  return type->type;
}

Result<PublishedSuperWeight> super_weight(const json& node, const JsonPlace& place) {
  constexpr std::string_view kFields[] = {"layer", "row", "column"};
  constexpr int64_t kMost = int64_t{1} << 32;
  ASSAY_ASSIGN(const JsonObject object, JsonObject::open(node, place, kFields));
  PublishedSuperWeight weight;
  ASSAY_ASSIGN(const int64_t layer, object.integer("layer", 0, 10'000));
  ASSAY_ASSIGN(const int64_t row, object.integer("row", 0, kMost));
  ASSAY_ASSIGN(const int64_t column, object.integer("column", 0, kMost));
  weight.layer = static_cast<int>(layer);
  weight.at = {static_cast<uint64_t>(row), static_cast<uint64_t>(column)};
  return weight;
}

Status read_thresholds(const JsonObject& object, TaxonomyThresholds& thresholds) {
  const json* node = object.find("thresholds");
  if (node == nullptr) return {};
  std::vector<std::string_view> keys;
  for (const NamedThreshold& one : taxonomy_thresholds()) keys.emplace_back(one.name);
  ASSAY_ASSIGN(const JsonObject given, JsonObject::open(*node, object.place("thresholds"), keys));
  for (const NamedThreshold& one : taxonomy_thresholds())
    if (given.has(one.name)) {
      ASSAY_ASSIGN(thresholds.*one.value, given.real(one.name, 0, 1e9));
    }
  return {};
}

Status check(const OutlierConfig& config, const JsonPlace& root) {
  if (config.robust > config.walk && config.under > 0)
    return root.key("walk").refuse("is " + std::to_string(config.walk), "at least robust, " + std::to_string(config.robust));
  if (config.tail <= 0) return root.key("tail").refuse("is 0", "above 0");
  return {};
}

Result<OutlierConfig> parse(const json& tree, const std::string& who) {
  ASSAY_ASSIGN(const JsonObject object, JsonObject::open(tree, {who, ""}, kKeys));
  OutlierConfig config;
  Reader reader(object);
  const auto text = [](const json& node, const JsonPlace& place) { return json_string(node, place, kLongestText); };
  reader.text("name", config.name);
  reader.text("strata_file", config.strata_file);
  reader.list("strata", 1, config.strata, text);
  reader.number("prompts_per_stratum", 0, kMostWeights, config.prompts_per_stratum);
  reader.number("max_tokens", 2, kMostWeights, config.max_tokens);
  std::string layers;
  reader.text("layers", layers);
  reader.list("super_weights", 0, config.super_weights, super_weight);
  reader.real("spike", 0, 1e9, config.spike);
  reader.number("robust", 1, kMostWeights, config.robust);
  reader.number("walk", 0, kMostWeights, config.walk);
  reader.number("under", 0, kMostWeights, config.under);
  reader.real("under_kl", 0, 1e9, config.under_kl);
  reader.real("under_ppl", 0, 1e9, config.under_ppl);
  reader.number("controls", 1, 1000, config.controls);
  reader.flag("match_magnitude", config.match_magnitude);
  reader.text("imatrix", config.imatrix);
  reader.number("strongest", 1, kMostWeights, config.strongest);
  reader.list("scales", 0, config.scales, [](const json& node, const JsonPlace& place) { return json_real(node, place, -1e6, 1e6); });
  reader.number("spread_radius", 1, 10'000, config.spread_radius);
  reader.real("channel_scale", -1e6, 1e6, config.channel_scale);
  reader.real("spreadable", 0, 1, config.spreadable);
  reader.list("ranks", 0, config.ranks, [](const json& node, const JsonPlace& place) -> Result<int> {
    ASSAY_ASSIGN(const int64_t rank, json_integer(node, place, 1, 10'000));
    return static_cast<int>(rank);
  });
  reader.list("sets", 0, config.sets, positive);
  reader.real("tail", 0, 1, config.tail);
  reader.number("tracked_prompts", 0, kMostWeights, config.tracked_prompts);
  reader.list("share_types", 0, config.share_types, type_of);
  reader.list("share_k", 1, config.share_k, positive);
  reader.number("share_controls", 1, 100, config.share_controls);
  reader.number("variants", 1, kMostWeights, config.variants);
  reader.number("seed", 0, INT64_MAX, config.seed);
  ASSAY_TRY(reader.take_status());
  if (!layers.empty()) {
    ASSAY_ASSIGN(config.layers, parse_layers(layers));
  }
  if (const json* rfic = object.find("rfic")) config.rfic = rfic->dump();
  std::sort(config.share_k.begin(), config.share_k.end());
  ASSAY_TRY(read_thresholds(object, config.thresholds));
  ASSAY_TRY(read_criteria(object, "criteria", config.criteria));
  ASSAY_TRY(check(config, object.place()));
  return config;
}

}  // namespace

void make_quick(OutlierConfig& config) {
  const auto at_most = [](uint64_t& value, uint64_t most) { value = value == 0 ? most : std::min(value, most); };
  at_most(config.prompts_per_stratum, 2);
  at_most(config.max_tokens, 128);
  at_most(config.robust, 16);
  at_most(config.walk, 32);
  at_most(config.under, 8);
  at_most(config.controls, 2);
  at_most(config.strongest, 3);
  at_most(config.share_controls, 1);
  at_most(config.tracked_prompts, 1);
  if (config.ranks.size() > 1) config.ranks.resize(1);
}

std::string share_statistic(GgmlType type, uint64_t k) {
  return std::string("share of the damage at ") + find_type(type)->name + " in the top " + std::to_string(k) + " outliers";
}
std::string excess_statistic(GgmlType type, uint64_t k) { return share_statistic(type, k) + " beyond matched controls"; }

std::vector<Criterion> default_outlier_criteria(const OutlierConfig& config) {
  std::vector<Criterion> criteria;
  if (config.share_k.empty()) return criteria;
  const uint64_t least = config.share_k.front(), most = config.share_k.back();
  for (const GgmlType type : config.share_types) {
    const std::string at = std::string(" at ") + find_type(type)->name;
    const auto add = [&](const std::string& name, const std::string& statistic) {
      criteria.push_back({name, statistic, Criterion::Rule::kAtLeast, kLeastShare});
    };
    add("the largest outlier carries 1 %" + at, share_statistic(type, least));
    if (most == least) continue;
    add("the top " + std::to_string(most) + " carry 1 %" + at, share_statistic(type, most));
    add("1 % more than matched controls" + at, excess_statistic(type, most));
  }
  return criteria;
}

Result<OutlierConfig> parse_outlier_config(std::string_view text, bool yaml, const std::string& who) {
  if (yaml) {
    ASSAY_ASSIGN(const json tree, parse_yaml(text, who));
    return parse(tree, who);
  }
  ASSAY_ASSIGN(const json tree, parse_json(text, who, RepeatedKeys::kRefuse));
  return parse(tree, who);
}

Result<OutlierConfig> read_outlier_config(const std::string& path) {
  ASSAY_ASSIGN(const std::string text, read_text_file(path));
  return parse_outlier_config(text, path.ends_with(".yaml") || path.ends_with(".yml"), path);
}

}  // namespace assay
