// One small result of each study that the report page has a view for, made up, with the fields that docs/json.md names. No two numbers
// with a fraction are alike, so that a test can look for each of them on the page.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace assay::examples {

using Json = nlohmann::ordered_json;

// Numbers with three digits that do not come twice; every one is between 0.1 and 1 times `scale`.
class Numbers {
 public:
  double next(double scale = 1) {
    state_ = (state_ * 61 + 101) % 900;  // runs through all 900 before it repeats
    return scale * static_cast<double>(100 + state_) / 1000;
  }
  // A field and its interval.
  void put(Json& json, const std::string& key, double scale = 1, const std::string& ends = "") {
    const double value = next(scale);
    json[key] = value;
    json[ends.empty() ? key + "_ci95" : ends] = {value - next(scale / 10), value + next(scale / 10)};
  }
  Json list(size_t count, double scale = 1) {
    Json values = Json::array();
    for (size_t i = 0; i < count; ++i) values.push_back(next(scale));
    return values;
  }

 private:
  int state_ = 0;
};

// Criteria, their statistics and what else every study ends with.
inline void end_study(Json& result, Numbers& numbers) {
  Json statistic = {{"name", "the statistic"}};
  numbers.put(statistic, "value", 1, "ci95");
  Json verdict = {{"name", "large enough"}, {"statistic", "the statistic"}, {"at_least", 0.25}, {"outcome", "passed"}};
  verdict["value"] = statistic["value"];
  verdict["ci95"] = statistic["ci95"];
  result["statistics"] = {statistic};
  result["verdicts"] = {verdict};
  result["outcome"] = "passed";
  result["criteria_sha256"] = std::string(64, 'e');
  result["post_hoc"] = false;
  result["notes"] = {"a note of the study"};
}

inline Json behaviour(Numbers& numbers) {
  return {{"tokens", 120},
          {"mean_kl", numbers.next(1e-3)},
          {"tail_kl", numbers.next(1e-2)},
          {"flip_rate", numbers.next(0.1)},
          {"margin_change", numbers.next(0.01)},
          {"ppl_base", numbers.next(100)},
          {"ppl", numbers.next(100)},
          {"relative_ppl_change", numbers.next(0.01)}};
}

// Weights 0 and 1 are candidates, 2 and 3 their controls.
inline Json outlier_weight(int place, Numbers& numbers) {
  const bool control = place > 1;
  const int layer = place % 2;
  const std::string tensor = "blk." + std::to_string(layer) + (layer == 0 ? ".ffn_down.weight" : ".attn_q.weight");
  Json json = {{"kind", control ? "control" : "robust"},
               {"source", control ? "" : "detected"},
               {"under", false},
               {"listed", !control},
               {"tensor", tensor},
               {"row", 10 + place},
               {"column", 20 + place},
               {"role", layer == 0 ? "ffn_down" : "attn_q"},
               {"layer", layer},
               {"weight", numbers.next()},
               {"robust_score", numbers.next(20)},
               {"row_norm", numbers.next(5)},
               {"column_norm", numbers.next(5)},
               {"activation", numbers.next()},
               {"target", control ? Json(place - 2) : Json()},
               {"match_distance", numbers.next()}};
  numbers.put(json, "mean_kl", control ? 1e-4 : 1e-3);
  json["below_floor"] = false;
  json["all"] = behaviour(numbers);
  json["all"]["mean_kl"] = json["mean_kl"];
  json["strata"] = {{"chat", behaviour(numbers)}, {"code", behaviour(numbers)}};
  numbers.put(json, "interaction", 1e-4);
  json["partner"] = place ^ 1;
  json["perturbation"] = Json::array();
  for (int at = layer; at < 3; ++at)
    json["perturbation"].push_back({{"layer", at},
                                    {"norm", numbers.next(200)},
                                    {"token_norm", numbers.next(10)},
                                    {"stability", numbers.next()},
                                    {"stability_uncentred", numbers.next()},
                                    {"by_position", numbers.list(2, 10)}});
  json["max_stability"] = numbers.next();
  json["max_stability_uncentred"] = numbers.next();
  json["label"] = control ? "Silent Stabilizer" : "Super Weight";
  return json;
}

inline Json outliers_result() {
  Numbers numbers;
  Json weights = Json::array(), sets = Json::array(), doses = Json::array(), edits = Json::array(), patches = Json::array(),
       overshoot = Json::array(), damages = Json::array(), shares = Json::array(), excesses = Json::array();
  for (int place = 0; place < 4; ++place) weights.push_back(outlier_weight(place, numbers));
  for (const char* of : {"strongest", "their controls"}) {
    Json one = {{"of", of}, {"size", 2}};
    numbers.put(one, "mean_kl", 1e-2);
    numbers.put(one, "interaction", 1e-3);
    sets.push_back(one);
  }
  for (const int weight : {0, 1, 2, 3}) {
    for (const double scale : {0.0, 0.5, 1.0, 2.0}) {
      Json one = {{"weight", weight}, {"scale", scale}};
      numbers.put(one, "mean_kl", 1e-3);
      one["tail_kl"] = numbers.next(1e-2);
      one["flip_rate"] = numbers.next(0.1);
      one["nll_difference"] = numbers.next(1e-3);
      doses.push_back(one);
    }
    for (const char* form : {"spread", "row scaled"}) {
      Json one = {{"weight", weight}, {"form", form}};
      numbers.put(one, "mean_kl", 1e-3);
      numbers.put(one, "recovery");
      one["recovered"] = false;
      edits.push_back(one);
    }
    for (const auto& [form, layer, rank] : {std::tuple{"first", -1, 0}, {"rank", -1, 1}, {"replace", 2, 0}, {"patch_all_seed", -1, 0}}) {
      Json one = {{"weight", weight}, {"form", form}, {"layer", layer}, {"rank", rank}};
      numbers.put(one, "mean_kl", 1e-3);
      numbers.put(one, "recovery");
      patches.push_back(one);
    }
    overshoot.push_back({{"weight", weight},
                         {"layers", {{{"layer", 1}, {"added_again", numbers.next()}}, {{"layer", 2}, {"added_again", numbers.next()}}}}});
  }
  for (const char* type : {"Q4_K", "Q2_K"}) {
    Json damage = {{"type", type}, {"elements", 7077888}};
    numbers.put(damage, "mean_kl", 0.1);
    damage["nll_difference"] = numbers.next(0.1);
    damages.push_back(damage);
    for (const auto& [selection, draw] : {std::pair{"outliers", 0}, {"curvature", 0}, {"path", 0}, {"controls", 0}, {"controls", 1}})
      for (const int k : {1, 100}) {
        Json one = {{"type", type}, {"selection", selection}, {"k", k}, {"draw", draw}};
        numbers.put(one, "mean_kl", 0.1);
        numbers.put(one, "share", 0.1);
        one["nll_share"] = numbers.next(0.1);
        shares.push_back(one);
      }
    for (const int k : {1, 100}) {
      Json one = {{"type", type}, {"k", k}};
      numbers.put(one, "excess", 0.01);
      excesses.push_back(one);
    }
  }
  const Json counts = {{"Super Weight", 2}, {"Silent Stabilizer", 0}};
  const Json control_counts = {{"Super Weight", 0}, {"Silent Stabilizer", 2}};
  Json result = {
      {"study", "outliers"},
      {"prompts", 14},
      {"tokens_scored", 974},
      {"share_prompts", 7},
      {"share_tokens", 484},
      {"tracked_tokens", 497},
      {"strata", {"chat", "code"}},
      {"position_bins", {"0", "1-3"}},
      {"interval", "prompts"},
      {"tail", 0.05},
      {"noise_floor", 5.67e-12},
      {"detector_grade", numbers.next()},
      {"variants", 321},
      {"weights", std::move(weights)},
      {"strongest", {0, 1}},
      {"further",
       {{"sets", std::move(sets)},
        {"doses", std::move(doses)},
        {"edits", std::move(edits)},
        {"patches", std::move(patches)},
        {"overshoot", std::move(overshoot)}}},
      {"labels",
       {{"candidates", {{{"thresholds", "as they are"}, {"counts", counts}}, {{"thresholds", "super_kl x 3"}, {"counts", counts}}}},
        {"controls", {{{"thresholds", "as they are"}, {"counts", control_counts}}}}}},
      {"quantization", {{"damages", std::move(damages)}, {"shares", std::move(shares)}, {"excesses", std::move(excesses)}}}};
  end_study(result, numbers);
  return result;
}

inline Json attention_row(const std::string& rule, int k, const std::string& set, std::vector<int> layers, Numbers& numbers) {
  Json row = {{"rule", rule}, {"k", k}, {"set", set}, {"layers", std::move(layers)}, {"ppl", numbers.next(100)}};
  numbers.put(row, "ppl_change", 10);
  numbers.put(row, "nll_difference", 0.1);
  numbers.put(row, "kl", 0.1);
  row["flip_rate"] = numbers.next(0.1);
  return row;
}

inline Json attention_result() {
  Numbers numbers;
  Json rows = Json::array(), spectra = Json::array(), heads = Json::array(), layers = Json::array();
  rows.push_back(attention_row("full", 0, "together", {0, 1}, numbers));
  rows.push_back(attention_row("top-1", 0, "together", {0, 1}, numbers));
  rows.push_back(attention_row("top-k", 4, "together", {0, 1}, numbers));
  for (const auto& [basis, draw] : {std::pair{"residual", -1}, {"values", -1}, {"random", 0}, {"random", 1}})
    for (const int rank : {1, 4, 16}) {
      Json row = attention_row("low-rank", rank, "together", {0, 1}, numbers);
      row["basis"] = basis;
      if (draw >= 0) row["draw"] = draw;
      numbers.put(row, "recovery_percent", 100);
      if (basis != std::string("residual")) numbers.put(row, "residual_lead", 10);
      row["energy_kept"] = numbers.next();
      row["energy_kept_fitted"] = numbers.next();
      rows.push_back(row);
    }
  for (const int layer : {0, 1}) {
    rows.push_back(attention_row("top-1", 0, "alone", {layer}, numbers));
    rows.push_back(attention_row("top-1", 0, "subsets", {layer}, numbers));
    Json measured = {{"layer", layer},
                     {"ratio", numbers.next()},
                     {"margin", numbers.next()},
                     {"stability", numbers.next()},
                     {"crystallised", layer == 1}};
    numbers.put(measured, "top1_loss", 0.1);
    layers.push_back(measured);
    for (const int head : {0, 1}) {
      Json row = attention_row("top-1", 0, "heads", {layer}, numbers);
      row["head"] = head;
      rows.push_back(row);
      heads.push_back(
          {{"layer", layer}, {"head", head}, {"ratio", numbers.next()}, {"margin", numbers.next()}, {"stability", numbers.next()}});
      spectra.push_back(
          {{"layer", layer}, {"head", head}, {"r90", 3}, {"participation_ratio", numbers.next(10)}, {"cumulative", {0.4, 0.7, 0.9, 1.0}}});
    }
  }
  for (const auto& [rule, k] : {std::pair{"top-1", 0}, {"top-k", 4}}) {
    rows.push_back(attention_row(rule, k, "suffixes", {1}, numbers));
    rows.push_back(attention_row(rule, k, "suffixes", {0, 1}, numbers));
  }
  Json prediction = {{"predictor", "p2/p1"}, {"over", "heads"}, {"n", 4}};
  numbers.put(prediction, "rho");
  prediction["smallest_detectable"] = numbers.next();
  Json result = {{"study", "attention"},
                 {"layers", 2},
                 {"heads", 2},
                 {"kv_heads", 1},
                 {"head_dim", 4},
                 {"chosen_layers", {0, 1}},
                 {"tokens_scored", 510},
                 {"windows", 2},
                 {"documents", 1},
                 {"basis_windows", 2},
                 {"basis_from", "disjoint"},
                 {"diagnostic_windows", 2},
                 {"interval", "documents"},
                 {"base_ppl", numbers.next(100)},
                 {"noise_floor", 5.24e-12},
                 {"forward_equivalents", numbers.next(100)},
                 {"rows", std::move(rows)},
                 {"spectra", std::move(spectra)},
                 {"crystallisation", {{"heads", std::move(heads)}, {"layers", std::move(layers)}, {"predictions", {prediction}}}},
                 {"budgets",
                  {{{"rule", "top-1"}, {"k", 0}, {"ppl_change", 0.5}, {"layers", 1}},
                   {{"rule", "top-1"}, {"k", 0}, {"ppl_change", 5.0}, {"layers", 2}}}},
                 {"decoder_context", 4096},
                 {"savings",
                  {{{"rule", "top-1"},
                    {"k", 1},
                    {"full", {{"bytes_read", 8192}, {"flops", 4000}, {"cache_bytes", 8192}}},
                    {"replaced", {{"bytes_read", 4096}, {"flops", 1000}, {"cache_bytes", 8192}}}},
                   {{"rule", "low-rank"},
                    {"k", 16},
                    {"full", {{"bytes_read", 8192}, {"flops", 4000}, {"cache_bytes", 8192}}},
                    {"replaced", {{"bytes_read", 6144}, {"flops", 3000}, {"cache_bytes", 8192}}}}}},
                 {"verdict",
                  {{"published", "partial"},
                   {"published_rank", 16},
                   {"published_recovery_percent", numbers.next(100)},
                   {"ours", "partial"},
                   {"rank", nullptr},
                   {"compared_rank", 4},
                   {"beats_random", true},
                   {"beats_values", nullptr},
                   {"sentence", "Partial: no rank is certain."}}}};
  end_study(result, numbers);
  return result;
}

inline Json awq_result() {
  Numbers numbers;
  Json rows = Json::array(), curves = Json::array(), channels = Json::array();
  for (const char* target : {"4 bits", "Q4_0"}) {
    for (const char* method : {"plain", "AWQ", "AWQ without clips", "imatrix"}) {
      const bool plain = method == std::string("plain");
      Json row = {{"target", target}, {"method", method}, {"against", plain ? Json() : Json("plain")}};
      numbers.put(row, "kl", 0.1);
      row["ppl"] = numbers.next(100);
      if (plain) {
        row["change"] = nullptr;
        row["change_ci95"] = nullptr;
      } else {
        numbers.put(row, "change");
      }
      rows.push_back(row);
    }
    for (const char* place : {"attention input", "ffn down"})
      curves.push_back({{"target", target}, {"place", place}, {"losses", numbers.list(5)}, {"alphas", numbers.list(3)}});
  }
  for (const char* place : {"attention input", "ffn down"})
    channels.push_back({{"place", place}, {"mean", {4.0, 2.0, 1.0, 0.5}}, {"scale", numbers.list(4)}});
  Json result = {{"study", "awq"},
                 {"base_ppl", numbers.next(100)},
                 {"rows", std::move(rows)},
                 {"curves", std::move(curves)},
                 {"channels", std::move(channels)},
                 {"clip_shares", numbers.list(3)},
                 {"calibration_tokens", 256},
                 {"windows", 4},
                 {"documents", 1},
                 {"tokens_scored", 124},
                 {"interval", "blocks of windows"}};
  end_study(result, numbers);
  return result;
}

inline Json rfic_result() {
  Numbers numbers;
  Json candidates = Json::array(), summary = Json::array();
  const std::vector<std::string> tensors = {"blk.0.attn_q.weight", "blk.1.ffn_down.weight"};
  for (int layer = 0; layer < 2; ++layer)
    for (const char* rule : {"v0", "A", "B"}) {
      for (int group = 0; group < 3; ++group)
        candidates.push_back({{"tensor", tensors[layer]},
                              {"layer", layer},
                              {"rule", rule},
                              {"group", group},
                              {"row", 3 + group},
                              {"column", 40 * group},
                              {"weight", numbers.next()},
                              {"empty", numbers.next(0.01)},
                              {"benefit", (group == 0 ? 1 : -1) * numbers.next(1e-3)},  // the first gains and harms little
                              {"harm", numbers.next(group == 0 ? 1e-5 : 1e-3)},
                              {"score", numbers.next(10)}});
      summary.push_back({{"tensor", tensors[layer]},
                         {"layer", layer},
                         {"rule", rule},
                         {"candidates", 3},
                         {"positive", 1},
                         {"gated", 1},
                         {"median_harm", 2e-5 + numbers.next(1e-5)},
                         {"best_benefit", numbers.next(1e-3)},
                         {"best_score", numbers.next(10)}});
    }
  Json gate = {{"candidate", 3}};
  numbers.put(gate, "kl_improvement", 1e-5);
  gate["ppl_improvement"] = numbers.next(1e-3);
  gate["zero_kl"] = numbers.next(1e-6);
  Json checks = Json::array();
  for (const auto& [method, verdict] : {std::pair{"AWQ-lite", "safe"}, {"AWQ", "failure"}}) {
    Json check = {{"method", method}};
    for (const char* model : {"plain", "quantized", "zero_quantized", "zero_only"})
      check[model] = {{"ppl", numbers.next(100)}, {"error", numbers.next(10)}};
    numbers.put(check, "quantized_kl", 0.1);
    numbers.put(check, "zero_quantized_kl", 0.1);
    numbers.put(check, "zero_change", 1e-5);
    numbers.put(check, "plain_change", 1e-5);
    check["source_verdict"] = "unclear";
    check["verdict"] = verdict;
    checks.push_back(check);
  }
  Json result = {{"study", "rfic"},
                 {"config", "the configuration"},
                 {"tensors", tensors},
                 {"screen_tokens", 256},
                 {"candidates", std::move(candidates)},
                 {"front", {0, 3}},
                 {"summary", std::move(summary)},
                 {"gate_baseline_kl", numbers.next(0.01)},
                 {"gate", {gate}},
                 {"zeroed", {3}},
                 {"checks", std::move(checks)},
                 {"windows", 8},
                 {"documents", 1},
                 {"tokens_scored", 248},
                 {"interval", "blocks of windows"},
                 {"notes", {"a note of the study"}}};
  return result;
}

inline Json proxies_result() {
  Numbers numbers;
  const std::vector<std::string> proxies = {"weight error", "KL", "flip rate"}, outcomes = {"margin drop", "choices changed"};
  Json variants = Json::array(), correlations = Json::array(), claims = Json::array();
  for (const auto& [name, kind] : {std::pair{"preset Q2_K", "preset"},
                                   {"preset Q4_K_M", "preset"},
                                   {"blocks Q4_0", "uniform"},
                                   {"without block 0", "skip"},
                                   {"noise 0.1", "noise"}}) {
    Json of_proxies = Json::object(), of_outcomes = Json::object();
    for (const std::string& proxy : proxies) of_proxies[proxy] = numbers.next(kind == std::string("skip") ? 10 : 0.1);
    for (const std::string& outcome : outcomes) {
      of_outcomes[outcome] = Json::object();
      numbers.put(of_outcomes[outcome], "value", 1, "ci95");
    }
    variants.push_back({{"name", name},
                        {"kind", kind},
                        {"recipe", kind == std::string("preset") || kind == std::string("uniform")},
                        {"proxies", std::move(of_proxies)},
                        {"outcomes", std::move(of_outcomes)},
                        {"margin_drop_by_task", numbers.list(2)}});
  }
  const auto estimate = [&numbers] {
    Json one = {};
    numbers.put(one, "value", 1, "ci95_items");
    one["ci95_variants"] = {-numbers.next(), numbers.next()};
    return one;
  };
  for (const char* group : {"all", "recipes"})
    for (const std::string& outcome : outcomes) {
      for (const std::string& proxy : proxies)
        correlations.push_back({{"proxy", proxy},
                                {"outcome", outcome},
                                {"group", group},
                                {"spearman", estimate()},
                                {"kendall", estimate()},
                                {"together", {-numbers.next(), numbers.next()}}});
      claims.push_back({{"outcome", outcome},
                        {"group", group},
                        {"variants", 5},
                        {"smallest_detectable_rho", numbers.next()},
                        {"reliability", numbers.next()},
                        {"verdict", "refuted"},
                        {"predicting", {"KL"}}});
    }
  correlations[0]["kendall"] = nullptr;  // one side all equal
  Json tasks = Json::array();
  for (const char* task : {"piqa", "arc_easy"})
    tasks.push_back({{"name", task}, {"items", 12}, {"base_acc", numbers.next()}, {"base_margin", -numbers.next(10)}});
  return {{"study", "proxies"},
          {"claim", "proxies do not predict tasks"},
          {"predicts", 0.5},
          {"verdict", "refuted"},
          {"post_hoc", false},
          {"tasks", std::move(tasks)},
          {"item_tokens", 1233},
          {"tokens_scored", 62},
          {"windows", 2},
          {"noise_floor", 1e-12},
          {"claims", std::move(claims)},
          {"correlations", std::move(correlations)},
          {"variants", std::move(variants)},
          {"notes", {"a note of the study"}}};
}

inline Json pqi_result() {
  Numbers numbers;
  const auto measured = [&numbers](const std::string& name) {
    Json one = {{"name", name}, {"elements", 4096}};
    for (const char* key : {"first", "second", "change", "share"}) numbers.put(one, key);
    one["second_error"] = numbers.next(1e-3);
    one["fisher"] = numbers.next();
    one["contribution"] = numbers.next();
    return one;
  };
  Json types = Json::array();
  for (const char* type : {"Q2_K", "Q4_K"}) {
    Json one = {{"type", type}, {"elements", 8192}, {"sampled", 100}, {"loss_before", numbers.next(5)}, {"loss_after", numbers.next(5)}};
    one["all"] = measured("all");
    one["layers"] = {measured("blk.0"), measured("blk.1")};
    Json step = {{"lambda", 0.5}, {"first", numbers.next()}, {"second", numbers.next()}};
    numbers.put(step, "change");
    numbers.put(step, "curvature");
    one["steps"] = {step};
    one["closure"] = Json::array();
    for (const char* rule : {"midpoint", "gauss"})
      for (const int points : {1, 2, 4}) {
        Json closure = {{"rule", rule}, {"intervals", points}, {"points", points}};
        numbers.put(closure, "predicted");
        numbers.put(closure, "error", 0.1);
        one["closure"].push_back(closure);
      }
    one["matrices"] = Json::array();
    for (int layer = 0; layer < 2; ++layer)
      one["matrices"].push_back({{"name", "blk." + std::to_string(layer) + ".attn_q.weight"},
                                 {"role", "attn_q"},
                                 {"layer", layer},
                                 {"elements", 4096},
                                 {"contribution", numbers.next()},
                                 {"abs_total", numbers.next(10)},
                                 {"abs_per_step", numbers.next(10)},
                                 {"abs_per_sequence", numbers.next(10)}});
    one["coverage"] = {{{"top", 0.01}, {"share", numbers.next()}}};
    one["agreements"] = {{{"measure", "magnitude"},
                          {"with", "path"},
                          {"spearman", numbers.next()},
                          {"overlaps", {{{"top", 0.01}, {"share", numbers.next()}}}}}};
    types.push_back(one);
  }
  Json result = {{"study", "pqi"},          {"tokens_scored", 510}, {"windows", 2},   {"documents", 2},
                 {"interval", "documents"}, {"rule", "midpoint"},   {"intervals", 4}, {"types", std::move(types)}};
  end_study(result, numbers);
  return result;
}

// The first study does not say its name.
inline Json qpsa_result() {
  Numbers numbers;
  Json methods = Json::array(), pruning = Json::array(), correlations = Json::array();
  for (const char* name : {"qpsa_byte", "weight_norm"}) {
    Json method = {{"name", name},
                   {"scores", numbers.list(3)},
                   {"standard_errors", numbers.list(3, 0.1)},
                   {"ranking", {2, 0, 1}},
                   {"rank_ci95", {{0, 1}, {1, 2}, {0, 0}}},
                   {"forward_equivalents", 168}};
    numbers.put(method, "split_half");
    methods.push_back(method);
    for (const int k : {1, 2}) pruning.push_back({{"method", name}, {"k", k}, {"ppl_ratio", 1 + numbers.next()}, {"left_out", {0}}});
  }
  pruning.push_back({{"method", "random"}, {"k", 1}, {"ppl_ratio", 1.234}, {"quartiles", {1.111, 1.456}}, {"left_out", Json::array()}});
  Json correlation = {{"of", "qpsa_byte with weight_norm"}};
  numbers.put(correlation, "rho", 1, "ci95");
  correlation["apart_from_zero"] = true;
  Json result = {
      {"layers", 3},
      {"base_ppl", numbers.next(100)},
      {"tokens_scored", 510},
      {"samples_per_matrix", 8},
      {"non_finite", 0},
      {"methods", std::move(methods)},
      {"correlations", {correlation}},
      {"pruning", std::move(pruning)},
      {"loops", {{{"form", "repeat"}, {"first", 0}, {"last", 1}, {"times", 2}, {"gamma", 1}, {"ln_ppl_ratio", numbers.next()}}}},
      {"quadrants", {"robust and expendable", "sensitive and essential", "robust but essential"}},
      {"regions",
       {{{"type", "Q4_K"}, {"region", "scales"}, {"bytes", 12}, {"mean_effect", numbers.next()}, {"share_of_score", numbers.next()}}}},
      {"shortcut", nullptr}};
  end_study(result, numbers);
  return result;
}

// Name of the page -> its result.
inline std::vector<std::pair<std::string, Json>> study_results() {
  return {{"attention", attention_result()}, {"awq", awq_result()},   {"outliers", outliers_result()}, {"pqi", pqi_result()},
          {"proxies", proxies_result()},     {"qpsa", qpsa_result()}, {"rfic", rfic_result()}};
}

// ---- what is left of a result when something was not measured

// Every number is null: not a number, or none.
inline Json without_numbers(const Json& of) {
  if (of.is_number()) return {};
  Json made = of;
  for (Json& one : made)
    if (of.is_structured()) one = without_numbers(one);
  return made;
}

// The study's name alone; no number; and once without each field, also of the objects in it.
inline std::vector<Json> partial_results(const Json& result) {
  std::vector<Json> made = {without_numbers(result)};
  if (result.contains("study")) made.push_back({{"study", result["study"]}});
  for (const auto& [key, value] : result.items()) {
    if (key == "study") continue;
    Json one = result;
    one.erase(key);
    made.push_back(std::move(one));
    if (!value.is_object()) continue;
    for (const auto& inner : value.items()) {
      Json without = result;
      without[key].erase(inner.key());
      made.push_back(std::move(without));
    }
  }
  return made;
}

}  // namespace assay::examples
