#include "assay/study/attention_config.h"

#include <algorithm>
#include <charconv>
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
constexpr size_t kLongestName = 200, kMostItems = 64;
constexpr int64_t kMostKeys = 1 << 20, kMostDraws = 100;
constexpr uint64_t kMostWindows = 1'000'000;
constexpr int kLargestDefaultRank = 32;

Result<LayerSets> layer_sets(std::string_view name) {
  for (const LayerSets sets : kAllLayerSets)
    if (name == name_of(sets)) return sets;
  return fail(ErrorCode::kUsage,
              {"set of layers '" + printable(std::string(name)) + "'", "is not known", "together, alone, suffixes, subsets or heads", ""});
}

// A list of numbers from 1, or of names that `read` knows.
template <class T, class Read>
Status read_list(const JsonObject& object, std::string_view key, std::vector<T>& out, const Read& read) {
  if (!object.has(key)) return {};
  ASSAY_ASSIGN(const json* list, object.list(key, 1, kMostItems));
  out.clear();
  for (size_t i = 0; i < list->size(); ++i) {
    const JsonPlace place = object.place(key).item(i);
    ASSAY_ASSIGN(const T item, read((*list)[i], place));
    if (std::find(out.begin(), out.end(), item) != out.end()) return place.refuse(found_in((*list)[i]), "each once");
    out.push_back(item);
  }
  return {};
}

Result<int> read_count(const json& node, const JsonPlace& place) {
  ASSAY_ASSIGN(const int64_t number, json_integer(node, place, 1, kMostKeys));
  return static_cast<int>(number);
}

// A name that `find` knows, its error said of this place.
template <class Find>
auto read_name(const json& node, const JsonPlace& place, const Find& find) -> decltype(find(std::string_view())) {
  ASSAY_ASSIGN(const std::string name, json_string(node, place, kLongestName));
  auto found = find(std::string_view(name));
  if (!found) return fail(ErrorCode::kBadInput, place.who + ": " + place.path + ": " + found.error().message);
  return found;
}

Result<BasisSource> basis_source(std::string_view name) {
  for (const BasisSource source : {BasisSource::kDisjoint, BasisSource::kEvaluation})
    if (name == name_of(source)) return source;
  return fail(ErrorCode::kUsage, {"'" + printable(std::string(name)) + "'", "is no source of a basis", "disjoint or evaluation", ""});
}

Result<WindowRule> window_rule(std::string_view name) {
  if (name == "full") return WindowRule::kFull;
  if (name == "llama.cpp") return WindowRule::kLlamaCpp;
  return fail(ErrorCode::kUsage, {"'" + printable(std::string(name)) + "'", "is no rule of windows", "full or llama.cpp", ""});
}

Status read_protocol(const JsonObject& object, AttentionConfig& config) {
  const auto count = [&](const char* key, uint64_t& to) -> Status {
    if (!object.has(key)) return {};
    ASSAY_ASSIGN(const int64_t number, object.integer(key, 1, static_cast<int64_t>(kMostWindows)));
    to = static_cast<uint64_t>(number);
    return {};
  };
  ASSAY_TRY(count("basis_windows", config.basis_windows));
  ASSAY_TRY(count("windows", config.windows));
  ASSAY_TRY(count("diagnostic_windows", config.diagnostic_windows));
  ASSAY_TRY(count("context", config.context));
  if (object.has("ctx")) {
    ASSAY_ASSIGN(const int64_t ctx, object.integer("ctx", 4, 1 << 20));
    config.ctx = static_cast<uint32_t>(ctx);
  }
  if (const json* node = object.find("window")) {
    ASSAY_ASSIGN(config.window, read_name(*node, object.place("window"), window_rule));
  }
  if (const json* node = object.find("basis_from")) {
    ASSAY_ASSIGN(config.basis_from, read_name(*node, object.place("basis_from"), basis_source));
  }
  if (object.has("random_draws")) {
    ASSAY_ASSIGN(const int64_t draws, object.integer("random_draws", 1, kMostDraws));
    config.random_draws = static_cast<int>(draws);
  }
  if (object.has("compare_rank")) {
    ASSAY_ASSIGN(const int64_t rank, object.integer("compare_rank", 1, kMostKeys));
    config.compare_rank = static_cast<int>(rank);
  }
  if (object.has("noise")) {
    ASSAY_ASSIGN(config.noise, object.real("noise", 0, 100));
  }
  if (object.has("seed")) {
    ASSAY_ASSIGN(config.seed, object.number("seed", UINT64_MAX / 2));
  }
  return {};
}

Result<AttentionConfig> parse(const json& tree, const std::string& who) {
  constexpr std::string_view kKeys[] = {
      "name",   "layers",     "sets",  "top_k",        "ranks",   "bases",        "windows",  "basis_windows", "ctx", "diagnostic_windows",
      "window", "basis_from", "noise", "random_draws", "context", "compare_rank", "criteria", "seed"};
  ASSAY_ASSIGN(const JsonObject object, JsonObject::open(tree, {who, ""}, kKeys));
  AttentionConfig config;
  if (object.has("name")) {
    ASSAY_ASSIGN(config.name, object.text("name", kLongestName));
  }
  if (object.has("layers")) {
    ASSAY_ASSIGN(const std::string layers, object.text("layers", kLongestName));
    ASSAY_ASSIGN(config.layers, parse_layers(layers));
  }
  ASSAY_TRY(
      read_list(object, "sets", config.sets, [](const json& node, const JsonPlace& place) { return read_name(node, place, layer_sets); }));
  ASSAY_TRY(read_list(object, "bases", config.bases,
                      [](const json& node, const JsonPlace& place) { return read_name(node, place, basis_kind); }));
  ASSAY_TRY(read_list(object, "top_k", config.top_k, read_count));
  ASSAY_TRY(read_list(object, "ranks", config.ranks, read_count));
  ASSAY_TRY(read_protocol(object, config));
  ASSAY_TRY(read_criteria(object, "criteria", config.criteria));
  return config;
}

template <class T, class Find>
Result<std::vector<T>> parse_names(const std::string& list, const Find& find) {
  std::vector<T> all;
  for (const std::string& name : split(list, ',')) {
    ASSAY_ASSIGN(const T one, find(name));
    if (std::find(all.begin(), all.end(), one) == all.end()) all.push_back(one);
  }
  return all;
}

}  // namespace

std::string_view name_of(LayerSets sets) {
  constexpr std::string_view kNames[] = {"together", "alone", "suffixes", "subsets", "heads"};
  return kNames[static_cast<size_t>(sets)];
}

std::string_view name_of(BasisSource source) {
  constexpr std::string_view kNames[] = {"disjoint", "evaluation", "text"};
  return kNames[static_cast<size_t>(source)];
}

void make_quick(AttentionConfig& config) {
  const auto at_most = [](uint64_t& number, uint64_t most) { number = number == 0 ? most : std::min(number, most); };
  at_most(config.windows, 8);
  at_most(config.basis_windows, 4);
  at_most(config.diagnostic_windows, 4);
  if (config.ranks.empty()) config.ranks = {1, 4, 16};
  if (config.ranks.size() > 3) {
    const int middle = config.compare_rank != 0 ? config.compare_rank : config.ranks[config.ranks.size() / 2];
    config.ranks = {config.ranks.front(), middle, config.ranks.back()};
  }
  std::erase_if(config.bases, [](BasisKind kind) { return kind == BasisKind::kCentred || kind == BasisKind::kContext; });
  config.random_draws = 1;
  config.top_k.resize(std::min<size_t>(config.top_k.size(), 1));
  std::erase(config.sets, LayerSets::kHeads);
}

Result<std::vector<int>> ranks_of(const AttentionConfig& config, int head_dim) {
  std::vector<int> ranks = config.ranks;
  if (ranks.empty())
    for (int rank = 1; rank < head_dim && rank <= kLargestDefaultRank; rank *= 2) ranks.push_back(rank);
  std::sort(ranks.begin(), ranks.end());
  if (ranks.empty() || ranks.back() > head_dim)
    return fail(ErrorCode::kMismatch, {"rank " + std::to_string(ranks.empty() ? 1 : ranks.back()),
                                       "is more than the " + std::to_string(head_dim) + " dimensions of a head of this model",
                                       "ranks from 1 to " + std::to_string(head_dim), "the config of another model?"});
  return ranks;
}

int compare_rank_of(const AttentionConfig& config, const std::vector<int>& ranks, int head_dim) {
  if (config.compare_rank != 0) return config.compare_rank;
  int best = ranks.front();
  for (const int rank : ranks)
    if (4 * rank <= head_dim) best = std::max(best, rank);
  return best;
}

std::vector<Criterion> default_attention_criteria() {
  using Rule = Criterion::Rule;
  return {{"full reproduces the model", kFullStatistic, Rule::kBelow, 1e-12},
          {"compressible", kRecoveryStatistic, Rule::kAtLeast, 90},
          {"more than a random basis", kOverRandomStatistic, Rule::kAtLeast, 0},
          {"more than the basis of values", kOverValuesStatistic, Rule::kAtLeast, 0},
          {"crystallisation predicts the loss", kPredictionStatistic, Rule::kAtLeast, 0}};
}

Result<AttentionConfig> parse_attention_config(std::string_view text, bool yaml, const std::string& who) {
  if (yaml) {
    ASSAY_ASSIGN(const json tree, parse_yaml(text, who));
    return parse(tree, who);
  }
  ASSAY_ASSIGN(const json tree, parse_json(text, who, RepeatedKeys::kRefuse));
  return parse(tree, who);
}

Result<AttentionConfig> read_attention_config(const std::string& path) {
  ASSAY_ASSIGN(const std::string text, read_text_file(path));
  return parse_attention_config(text, path.ends_with(".yaml") || path.ends_with(".yml"), path);
}

Result<std::vector<BasisKind>> parse_bases(const std::string& list) { return parse_names<BasisKind>(list, basis_kind); }
Result<std::vector<LayerSets>> parse_layer_sets(const std::string& list) { return parse_names<LayerSets>(list, layer_sets); }

Result<std::vector<int>> parse_counts(const std::string& option, const std::string& list) {
  std::vector<int> all;
  for (const std::string& item : split(list, ',')) {
    int number = 0;
    const auto [end, error] = std::from_chars(item.data(), item.data() + item.size(), number);
    if (error != std::errc() || end != item.data() + item.size() || number < 1 || number > kMostKeys)
      return fail(ErrorCode::kUsage, {option, "has '" + printable(item) + "'", "whole numbers from 1, e.g. 1,2,4", ""});
    if (std::find(all.begin(), all.end(), number) == all.end()) all.push_back(number);
  }
  return all;
}

}  // namespace assay
